# SPDX-License-Identifier: MIT
# bash_complete.bash COMPLETION_FILE WORD…: what bash offers for the last word, a line each.
# "<files>" stands for file names.
source "$1" || exit 2
shift
compopt() { [[ "$*" == "-o default" ]] && echo "<files>"; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
complete -p kcoredump >/dev/null || exit 2
_kcoredump kcoredump "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
