# shellcheck shell=bash
# Sourced by tests/run: which whole-host tests of all that are compiled run now.
#
# A sentence is a test without its release: `hosts::module::name`. Most run once, on the release whose turn it is: the
# turn goes on with each commit that lands (a merge is one), so that three landings in a row have had each sentence on
# every release. What is about a release runs on each: the sentences of `on_each_release!` and `on_both_releases!`. Of
# those that take minutes (`takes_long!`, `measures!`), a third runs, so that three landings in a row have had each; of
# those that take a virtual machine (`in_virtual_machines!`), one.

# The number of commits that landed. A clone that does not have them all counts days instead.
turn() {
    if [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = false ]; then
        git rev-list --count --first-parent HEAD
    else
        echo $(($(date +%s) / 86400))
    fi
}

# The sentences that run on each release.
each_release() { # FILE…
    sentences 'on_(each_release|both_releases)' "$@"
}

# The sentences that take a virtual machine.
in_virtual_machines() { # FILE…
    sentences in_virtual_machines "$@"
}

# The sentences that take long.
takes_long() { # FILE…
    sentences '(takes_long|measures)' "$@"
}

# The sentences that run when nothing else does: what they measure, or emulate, is not to wait for others.
runs_alone() { # FILE…
    sentences '(measures|in_virtual_machines)' "$@"
}

# Of the tests on standard input, one a line, those of these sentences; with "not", the others.
of_sentences() { # SENTENCES [not]
    awk -v sentences="$1" -v inverted="${2:-}" '
        BEGIN { split(sentences, list, "\n"); for (i in list) wanted[list[i]] }
        { sentence = $0; sub(/::[^:]*$/, "", sentence) }
        (sentence in wanted) == (inverted == "")
    '
}

# The sentences that a macro has: names with commas between them, or one a line, followed by its releases.
sentences() { # MACRO FILE…
    awk -v macro="^$1! *{" '
        FNR == 1 { module = FILENAME; sub(/.*\//, "", module); sub(/\.rs$/, "", module) }
        $0 ~ macro { inside = 1; sub(/^[^{]*{/, "") }
        inside {
            sub(/:.*/, "")
            for (rest = $0; match(rest, /[a-z_0-9]+/); rest = substr(rest, RSTART + RLENGTH))
                print "hosts::" module "::" substr(rest, RSTART, RLENGTH)
        }
        /}/ { inside = 0 }
    ' "${@:2}"
}

# Of the tests on standard input, one a line, those that run. A part of a name that tells the release means all that it
# fits.
choose() { # TURN EACH IN_VIRTUAL_MACHINES TAKES_LONG [all] [RELEASE] [NAME]
    local all=${5:-}
    case ${7:-} in *::bookworm* | *::trixie*) all=all ;; esac
    awk -v turn="$1" -v each="$2" -v machines="$3" -v long="$4" -v all="$all" -v on="${6:-}" -v name="${7:-}" '
        BEGIN {
            for (i = 32; i < 127; i++) code[sprintf("%c", i)] = i
            split(each, sentences, "\n")
            for (i in sentences) on_each[sentences[i]]
            emulated = split(machines, sentences, "\n")
            for (i in sentences) machine[sentences[i]] = i
            split(long, sentences, "\n")
            for (i in sentences) third[sentences[i]] = i
        }
        # Where in the round of releases a sentence begins.
        function start(sentence,    i, sum) {
            for (i = 1; i <= length(sentence); i++) sum = (sum * 31 + code[substr(sentence, i, 1)]) % 65521
            return sum
        }
        {
            release = $0; sub(/.*::/, "", release)
            sentence = substr($0, 1, length($0) - length(release) - 2)
            if ((on != "" && release != on) || (name != "" && !index($0, name))) next
            if (!(sentence in number)) order[++count] = sentence
            test[sentence, number[sentence]++] = $0
        }
        END {
            for (i = 1; i <= count; i++) {
                sentence = order[i]
                round = turn
                if (sentence in machine) {
                    if (all == "" && name == "" && machine[sentence] != turn % emulated + 1) continue
                    round = int(turn / emulated)
                } else if (sentence in third) {
                    if (all == "" && name == "" && third[sentence] % 3 != turn % 3) continue
                    round = int(turn / 3)
                }
                for (j = 0; j < number[sentence]; j++)
                    if (all != "" || sentence in on_each || j == (start(sentence) + round) % number[sentence])
                        print test[sentence, j]
            }
        }
    '
}
