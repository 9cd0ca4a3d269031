# SPDX-License-Identifier: MIT
# For a zsh on a pseudo-terminal: defines ^X^A, which prints what completion offers for the line so
# far, a line each between START and END, and exits. "<files>" stands for file names.
# $COMPLETION_DIRECTORY holds _kcoredump.
PROMPT= RPROMPT= PS2=
unsetopt prompt_cr prompt_sp
fpath=($COMPLETION_DIRECTORY $fpath)
autoload -Uz compinit
compinit -D -u

_files() { print -r -- "MATCH <files>" }

# Every match passes through compadd. -O, -A and -D only ask it which words fit.
compadd() {
  local word
  for word in "${(@)@[1,(i)(-|--)]}"; do
    [[ $word == -[OAD]* ]] && { builtin compadd "$@"; return }
  done
  local -a fitting
  builtin compadd -O fitting "$@"
  (( $#fitting )) && print -rl -- "MATCH "$^fitting
  builtin compadd "$@"
}

report() {
  print START
  _main_complete
  print END
  exit 0
}
zle -C report list-choices report
bindkey '^X^A' report
print READ'Y'
