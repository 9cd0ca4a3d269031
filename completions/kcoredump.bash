# SPDX-License-Identifier: MIT
#
# Completion of kcoredump for bash 4.1 and later. Install as
#   /usr/share/bash-completion/completions/kcoredump                for everyone, or
#   ~/.local/share/bash-completion/completions/kcoredump            for yourself,
# or source it in ~/.bashrc. tests/cli/check_completions.py holds the tables against --help.

declare -gA _kcoredump_options=(
  [main]="-h --help --version --json"
  [capture]="-h --help -f --file -o --output --format --codec --level --fast --exclude -d --dump-level --only --order --smear --threads --retries
             --stall-timeout --frame-size --base --hashes --max-rate --idle --force --json --progress --events"
  [convert]="-h --help --to --codec --level --fast --exclude -d --dump-level --only --threads --retries --stall-timeout --frame-size
             --base --hashes --max-rate --idle --force --json --progress --events"
  [export]="-h --help -f --file -o --output --force"
  [info]="-h --help -f --file --json"
  [verify]="-h --help --threads --json"
  [read]="-h --help --phys --raw --width --symbols -f --file --json"
  [dis]="-h --help --function --bytes --syntax -f --file --json"
  [print]="-h --help --depth --max --layout -f --file --json"
  [sym]="-h --help --max -f --file --json --json-lines"
  [vtop]="-h --help --pid -f --file --json"
  [search]="-h --help --hex --word --regex --width --ignore-case --align --space --range --max
            --context --threads --progress -f --file --json --json-lines"
  [log]="-h --help -l --level --facility -n --tail -x --decode -w --follow -f --file --json --json-lines"
  [ps]="-h --help --tree --threads -f --file --json --json-lines"
  [mod]="-h --help -f --file --json --json-lines"
  [map]="-h --help --by --columns --rows --png --svg --force -f --file --json --json-lines"
  [report]="-h --help -o --output --force"
  [schema]="-h --help"
  [vmalloc]="-h --help --from-memory -f --file --json --json-lines"
  [maps]="-h --help -f --file --json --json-lines"
  [list]="-h --help --show --max -f --file --json --json-lines"
  [bt]="-h --help --cpu --all -f --file --json --json-lines"
  [files]="-h --help -f --file --json --json-lines"
  [mounts]="-h --help --pid -f --file --json --json-lines"
  [sockets]="-h --help -f --file --json --json-lines"
  [check]="-h --help --against --vmlinux -f --file --json --json-lines"
  [diff]="-h --help --json --json-lines"
  [slab]="-h --help -f --file --json --json-lines"
  [irqs]="-h --help -f --file --json --json-lines"
  [timers]="-h --help -f --file --json --json-lines"
  [workqueues]="-h --help -f --file --json --json-lines"
  [pages]="-h --help --pid -f --file --json"
  [strings]="-h --help --min -f --file --json --json-lines"
  [carve]="-h --help -f --file --json -o --output --force"
  [serve]="-h --help --listen --stdio --unix --allow-remote -f --file --json"
  [mount]="-h --help -f --file --json"
)
# What follows an option: files, a list of words, or something only the user knows ("-").
declare -gA _kcoredump_values=(
  [-f]="files" [--file]="files" [-o]="files" [--output]="files" [--png]="files" [--svg]="files" [--events]="files" [--base]="files"
  [--against]="files" [--vmlinux]="files" [--order]="physical volatile" [--smear]="-" [--max-rate]="-"
  [--format]="raw snapshot elf kdump flattened lime avml" [--to]="raw snapshot elf kdump flattened lime avml" [--codec]="zstd zlib lzo snappy none"
  [--exclude]="free zero cache private-cache user" [-d]="-" [--dump-level]="-" [--only]="-"
  [--threads]="-" [--retries]="-" [--stall-timeout]="-" [--frame-size]="-"
  [--by]="class outcome entropy time" [--columns]="-" [--rows]="-"
  [--progress]="auto bar json none" [--syntax]="att intel"
  [--width]="1 2 4 8" [--min]="-" [--space]="physical kernel" [--max]="-" [--pid]="-" [--align]="-"
  [--listen]="-" [--unix]="files"
  [--range]="-" [--context]="-" [--depth]="-" [-l]="-" [--level]="-" [--facility]="-" [-n]="-" [--tail]="-"
)
_kcoredump_commands="capture convert export info verify read dis print sym vtop search log ps mod vmalloc schema serve maps mount list bt files mounts sockets slab check diff map report pages irqs timers workqueues carve strings"

# Leaves the word to readline, which knows about quotes, spaces and ~.
_kcoredump_files() {
  compopt -o default
}

_kcoredump_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# The subcommand among the words before the cursor, or "main".
_kcoredump_command() {
  local word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " $_kcoredump_commands " in
      *" $word "*) printf '%s' "$word" && return ;;
    esac
  done
  printf 'main'
}

_kcoredump() {
  local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} command values
  COMPREPLY=()
  # --option=value arrives as three words, unless "=" was taken out of COMP_WORDBREAKS.
  if [[ $cur == "=" ]]; then
    cur=""
  elif [[ $option == "=" ]]; then
    option=${COMP_WORDS[COMP_CWORD-2]}
  fi
  command=$(_kcoredump_command)
  if [[ $command != main && -n $option ]]; then
    values=${_kcoredump_values[$option]-}
    case $values in
      "") ;;
      files) _kcoredump_files; return ;;
      -) return ;;
      *) _kcoredump_words "$values" "$cur"; return ;;
    esac
  fi
  if [[ $cur == -* ]]; then
    _kcoredump_words "${_kcoredump_options[$command]}" "$cur"
  elif [[ $command == main ]]; then
    _kcoredump_words "$_kcoredump_commands" "$cur"
  elif [[ $command == export ]]; then
    _kcoredump_words "isf" "$cur"
  elif [[ $command == schema ]]; then
    _kcoredump_words "$(kcoredump schema 2>/dev/null)" "$cur"
  elif [[ $command == verify || $command == convert || $command == mount || $command == diff || $command == report ]]; then
    _kcoredump_files
  fi
}

complete -F _kcoredump kcoredump
