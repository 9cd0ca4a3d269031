# SPDX-License-Identifier: MIT
#
# Completion of kcoredump for fish. Install as
#   /usr/share/fish/vendor_completions.d/kcoredump.fish    for everyone, or
#   ~/.config/fish/completions/kcoredump.fish              for yourself.
# tests/cli/check_completions.py holds the options against --help.

complete -c kcoredump -f
complete -c kcoredump -s h -l help -d 'Show help and exit'

complete -c kcoredump -n __fish_use_subcommand -l version -d 'Show the version and exit'
complete -c kcoredump -n __fish_use_subcommand -l json -d 'With --version: JSON'
complete -c kcoredump -n __fish_use_subcommand -a capture -d 'Capture memory into a file'
complete -c kcoredump -n __fish_use_subcommand -a convert -d 'Write a dump anew in another format'
complete -c kcoredump -n __fish_use_subcommand -a export -d 'Write what other tools want to know'
complete -c kcoredump -n __fish_use_subcommand -a info -d 'Describe an image or the live kernel'
complete -c kcoredump -n __fish_use_subcommand -a verify -d 'Check an image'
complete -c kcoredump -n __fish_use_subcommand -a read -d 'Show memory'
complete -c kcoredump -n __fish_use_subcommand -a dis -d 'Disassemble code'
complete -c kcoredump -n __fish_use_subcommand -a print -d 'Show typed data, or a type'
complete -c kcoredump -n __fish_use_subcommand -a list -d 'Walk a list or tree of anything'
complete -c kcoredump -n __fish_use_subcommand -a sym -d 'Look up symbols and addresses'
complete -c kcoredump -n __fish_use_subcommand -a vtop -d 'Translate a virtual address'
complete -c kcoredump -n __fish_use_subcommand -a search -d 'Find bytes, text or words in memory'
complete -c kcoredump -n __fish_use_subcommand -a log -d 'Show the kernel log'
complete -c kcoredump -n __fish_use_subcommand -a ps -d 'List processes'
complete -c kcoredump -n __fish_use_subcommand -a bt -d 'Show kernel stacks of tasks and CPUs'
complete -c kcoredump -n __fish_use_subcommand -a files -d 'List what a process has open'
complete -c kcoredump -n __fish_use_subcommand -a maps -d 'List what a process has mapped'
complete -c kcoredump -n __fish_use_subcommand -a mounts -d 'List what is mounted'
complete -c kcoredump -n __fish_use_subcommand -a sockets -d 'List sockets and who has them open'
complete -c kcoredump -n __fish_use_subcommand -a mod -d 'List modules'
complete -c kcoredump -n __fish_use_subcommand -a vmalloc -d 'List vmalloc areas'
complete -c kcoredump -n __fish_use_subcommand -a map -d 'Draw physical memory'
complete -c kcoredump -n __fish_use_subcommand -a report -d 'Write one HTML page'
complete -c kcoredump -n __fish_use_subcommand -a schema -d 'JSON Schema of what a command prints'
complete -c kcoredump -n __fish_use_subcommand -a slab -d 'List slab caches, or find an object'
complete -c kcoredump -n __fish_use_subcommand -a serve -d 'Let debuggers attach'
complete -c kcoredump -n __fish_use_subcommand -a mount -d 'Show a kernel as a folder'

complete -c kcoredump -n '__fish_seen_subcommand_from capture' -s f -l file -r -F -d 'What to capture'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -s o -l output -r -F -d 'Output file; - is standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l format -x -a 'raw snapshot elf kdump flattened lime avml' -d 'The format that is written'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l codec -x -a 'zstd zlib lzo snappy none' -d 'What compresses pages'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l level -x -d 'zstd level; below 1 is faster'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l fast -d 'Level -3'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l exclude -x -a 'free zero cache private-cache user' -d 'Pages to leave out'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -s d -l dump-level -x -d 'Pages to leave out, as makedumpfile'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l only -x -d 'Capture just that'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l threads -x -d 'Threads; 0: one for each usable CPU'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l retries -x -d 'Attempts for a page whose destination faults'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l stall-timeout -x -d 'Seconds that a read may take'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l frame-size -x -d 'Bytes that are compressed together'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l max-rate -x -d 'Read no more than that in a second'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l idle -d 'Only time that nobody else wants'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l order -x -a 'physical volatile' -d 'What is read first'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l smear -x -d 'Pages to read again at the end'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l force -d 'Replace an existing output file'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l json -d 'One JSON report on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l progress -x -a 'auto bar json none' -d 'Progress on standard error'
complete -c kcoredump -n '__fish_seen_subcommand_from capture' -l events -r -F -d 'What happens, as JSON lines'

complete -c kcoredump -n '__fish_seen_subcommand_from convert' -F
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l to -x -a 'raw snapshot elf kdump flattened lime avml' -d 'The format that is written'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l codec -x -a 'zstd zlib lzo snappy none' -d 'What compresses pages'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l level -x -d 'zstd level; below 1 is faster'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l fast -d 'Level -3'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l exclude -x -a 'free zero cache private-cache user' -d 'Pages to leave out'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -s d -l dump-level -x -d 'Pages to leave out, as makedumpfile'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l only -x -d 'Capture just that'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l threads -x -d 'Threads; 0: one for each usable CPU'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l retries -x -d 'Attempts for a page whose destination faults'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l stall-timeout -x -d 'Seconds that a read may take'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l frame-size -x -d 'Bytes that are compressed together'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l max-rate -x -d 'Read no more than that in a second'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l idle -d 'Only time that nobody else wants'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l force -d 'Replace an existing output file'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l json -d 'One JSON report on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l progress -x -a 'auto bar json none' -d 'Progress on standard error'
complete -c kcoredump -n '__fish_seen_subcommand_from convert' -l events -r -F -d 'What happens, as JSON lines'

complete -c kcoredump -n '__fish_seen_subcommand_from export' -a isf
complete -c kcoredump -n '__fish_seen_subcommand_from export' -s f -l file -r -F -d 'A dump of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from export' -s o -l output -r -F -d 'The new file'
complete -c kcoredump -n '__fish_seen_subcommand_from export' -l force -d 'Replace an existing file'

complete -c kcoredump -n '__fish_seen_subcommand_from info' -s f -l file -r -F -d 'What to describe'
complete -c kcoredump -n '__fish_seen_subcommand_from info' -l json -d 'One JSON object on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from verify' -F
complete -c kcoredump -n '__fish_seen_subcommand_from verify' -l threads -x -d 'Threads; 0: one for each CPU'
complete -c kcoredump -n '__fish_seen_subcommand_from verify' -l json -d 'One JSON object on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from read' -l phys -d 'The address is a physical address'
complete -c kcoredump -n '__fish_seen_subcommand_from read' -l raw -d 'Bytes instead of a dump'
complete -c kcoredump -n '__fish_seen_subcommand_from read' -l width -x -a '1 2 4 8' -d 'Words of so many bytes'
complete -c kcoredump -n '__fish_seen_subcommand_from read' -l symbols -d 'Resolve words that point into the kernel'
complete -c kcoredump -n '__fish_seen_subcommand_from read' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from read' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from dis' -l function -d 'All of the symbol'
complete -c kcoredump -n '__fish_seen_subcommand_from dis' -l bytes -d 'The bytes of each instruction'
complete -c kcoredump -n '__fish_seen_subcommand_from dis' -l syntax -x -a 'att intel' -d 'Of x86'
complete -c kcoredump -n '__fish_seen_subcommand_from dis' -s f -l file -r -F -d 'A snapshot or an ELF core'
complete -c kcoredump -n '__fish_seen_subcommand_from dis' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from print' -l depth -x -d 'How deep structs within structs are shown'
complete -c kcoredump -n '__fish_seen_subcommand_from print' -l max -x -d 'Most elements of an array'
complete -c kcoredump -n '__fish_seen_subcommand_from print' -l layout -d 'Offsets, sizes and holes of a type'
complete -c kcoredump -n '__fish_seen_subcommand_from print' -s f -l file -r -F -d 'A snapshot or an ELF core'
complete -c kcoredump -n '__fish_seen_subcommand_from print' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from list' -l show -x -d 'Members of each entry'
complete -c kcoredump -n '__fish_seen_subcommand_from list' -l max -x -d 'Most entries listed'
complete -c kcoredump -n '__fish_seen_subcommand_from list' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from list' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from sym' -l max -x -d 'Most symbols of a glob'
complete -c kcoredump -n '__fish_seen_subcommand_from sym' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from sym' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from sym' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from vtop' -l pid -x -d 'In the address space of this process'
complete -c kcoredump -n '__fish_seen_subcommand_from vtop' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from vtop' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from search' -l hex -d 'The pattern is hexadecimal bytes'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l word -d 'The pattern is a number'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l regex -d 'The pattern is a regular expression'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l width -x -a '1 2 4 8' -d 'Bytes of a word'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l ignore-case -d 'Upper and lower case alike'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l align -x -d 'Only at multiples of this'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l space -x -a 'physical kernel' -d 'Which memory'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l range -x -d 'Only there'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l max -x -d 'Stop after so many matches'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l context -x -d 'Bytes shown around a match'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l threads -x -d 'Number of threads'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l progress -x -a 'auto bar json none' -d 'Progress on standard error'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from search' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from log' -s l -l level -x -d 'Only these levels'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -l facility -x -d 'Only these facilities'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -s n -l tail -x -d 'Only the last records'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -s x -l decode -d 'Facility, level and caller'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -s w -l follow -d 'Go on with what the live kernel says'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from log' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from ps' -l tree -d 'Children below their parents'
complete -c kcoredump -n '__fish_seen_subcommand_from ps' -l threads -d 'A line for each thread'
complete -c kcoredump -n '__fish_seen_subcommand_from ps' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from ps' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from ps' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from bt' -l cpu -x -d 'What this CPU was doing'
complete -c kcoredump -n '__fish_seen_subcommand_from bt' -l all -d 'Every thread'
complete -c kcoredump -n '__fish_seen_subcommand_from bt' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from bt' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from files' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from files' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from maps' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from maps' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from mounts' -l pid -x -d 'In this mount namespace'
complete -c kcoredump -n '__fish_seen_subcommand_from mounts' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from mounts' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from sockets' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from sockets' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from mod' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from mod' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from mod' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from vmalloc' -l from-memory -d "Read the kernel's own lists"
complete -c kcoredump -n '__fish_seen_subcommand_from vmalloc' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from vmalloc' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from vmalloc' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from map' -l by -x -a 'class outcome entropy time' -d 'What cells are told apart by'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l columns -x -d 'Cells in a row'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l rows -x -d 'Rows of cells'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l png -r -F -d 'Draw into this new file'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l svg -r -F -d 'Draw into this new file'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l force -d 'Replace existing files'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l json -d 'JSON on standard output'
complete -c kcoredump -n '__fish_seen_subcommand_from map' -l json-lines -d 'An object a line'

complete -c kcoredump -n '__fish_seen_subcommand_from report' -F
complete -c kcoredump -n '__fish_seen_subcommand_from report' -s o -l output -r -F -d 'The new file'
complete -c kcoredump -n '__fish_seen_subcommand_from report' -l force -d 'Replace an existing file'

complete -c kcoredump -n '__fish_seen_subcommand_from schema' -f -a '(kcoredump schema 2>/dev/null)'

complete -c kcoredump -n '__fish_seen_subcommand_from slab' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from slab' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from serve' -l listen -x -d 'Where to listen'
complete -c kcoredump -n '__fish_seen_subcommand_from serve' -l stdio -d 'Speak to the debugger that started this'
complete -c kcoredump -n '__fish_seen_subcommand_from serve' -l unix -r -F -d 'Listen at a socket in the file system'
complete -c kcoredump -n '__fish_seen_subcommand_from serve' -l allow-remote -d 'Let other machines in'
complete -c kcoredump -n '__fish_seen_subcommand_from serve' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from serve' -l json -d 'JSON on standard output'

complete -c kcoredump -n '__fish_seen_subcommand_from mount' -F
complete -c kcoredump -n '__fish_seen_subcommand_from mount' -s f -l file -r -F -d 'An image of any format'
complete -c kcoredump -n '__fish_seen_subcommand_from mount' -l json -d 'JSON on standard output'
