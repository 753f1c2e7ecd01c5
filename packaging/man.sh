#!/bin/sh
# man.sh MILLRACE EXIT-CODES VERSION - writes millrace(1) to standard output: from what the command says of itself, and from
# docs/reference/exit-codes.md. A page written by hand would be a second place in which options are described.
set -eu
millrace=$1
codes=$2
version=$3
escape='s/\\/\\e/g; s/^\([.'"'"']\)/\\\&\1/; s/-/\\-/g'

# Lines `  NAME  TEXT` become entries of a list.
entries() {
    sed -n 's/^  //p' | sed -e "$escape" | awk '
        {
            at = match($0, /  +/)
            if (at) { name = substr($0, 1, at - 1); text = substr($0, at + RLENGTH) }
            else { name = $0; text = "" }
            printf ".TP\n.B %s\n%s\n", name, text
        }'
}

commands() {
    "$millrace" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'
}

# The first verb of a command, from its usage: `delta optimize|vacuum|.. URL`.
verb() {
    "$millrace" --help | sed -n "s/^  $1 \([a-z]*\).*/\1/p"
}

cat <<PAGE
.TH MILLRACE 1 "" "millrace $version" "User Commands"
.SH NAME
millrace \\- run data pipelines written as JSON
.SH SYNOPSIS
.B millrace
.I COMMAND
.RI [ options ]
.RI [ FILE ..]
.SH DESCRIPTION
Reads a pipeline file, checks all of it, plans it and runs it: PostgreSQL, Delta tables and files in; filters, joins, aggregates,
validations; Delta tables, files and PostgreSQL out. A run that is stopped or killed is repeated by starting it again: what was
committed is not read or written twice.
.SH COMMANDS
PAGE
"$millrace" --help | sed -e 's/^\(  [a-z]* [^ ]* URL\) /\1  /' | entries
for command in $(commands); do
    # Some commands have verbs, which share their options; the first line of --help names them.
    help=$("$millrace" "$command" --help 2>&1) || help=$("$millrace" "$command" "$(verb "$command")" --help 2>&1) || continue
    if printf '%s\n' "$help" | grep -q '^  '; then
        printf '.SH OPTIONS OF %s\n' "$(printf '%s' "$command" | tr '[:lower:]' '[:upper:]')"
        printf '%s\n' "$help" | entries
    fi
done
cat <<'PAGE'
.SH EXIT STATUS
PAGE
sed -n 's/^| \([0-9][0-9, ]*\) | \([a-z]*\) | \(.*\) |$/  \1  \2: \3/p' "$codes" | entries
cat <<'PAGE'
.SH ENVIRONMENT
.TP
.B MILLRACE_CREDENTIALS
The credentials file, where no option names one.
.TP
.B MILLRACE_STATE
The state directory, where neither an option nor the pipeline names one; else .millrace/ beside the pipeline.
.TP
.BR VAULT_ADDR ", " VAULT_TOKEN ", PG*, AWS_*"
As their own tools read them.
.SH SIGNALS
SIGINT and SIGTERM end a run in good order: nothing of it is visible, or all; the next start continues. A second signal ends the process at
once, which is as safe.
.SH SEE ALSO
/usr/share/doc/millrace/ has the guide, the reference and examples.
PAGE
