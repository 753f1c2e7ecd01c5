/*
 * csv_scan.c - one pass over the special bytes.
 *
 * Delimiters, quotes, escapes and line breaks are found 64 bytes at a time as bits of a mask; only they are visited, by a
 * small state machine. So a cell costs a few instructions however long it is, and odd files (quotes inside cells, text
 * behind a closing quote) need no second path, as they would where the parity of quotes alone decides. A record that
 * does not end in the text at hand is scanned again when there is more; the reader doubles its window then, so the
 * total stays linear.
 *
 * A quote that is never closed would swallow the rest of the file. It makes its own line a bad record, and scanning goes on
 * behind that line.
 */
#include "enc/csv_scan.h"

#include "base/byte_mask.h"

enum mr_status mr_csv_scanner_init(struct mr_csv_scanner *scanner,
                                   const struct mr_csv_dialect *dialect, bool lines, int keep,
                                   struct mr_error *err)
{
    *scanner = (struct mr_csv_scanner){
        .dialect = *dialect,
        .null_size = strlen(dialect->null_value),
        .lines = lines,
        .keep = keep > 0 ? keep : 1,
        .next_line = 1,
    };
    scanner->cells = mr_calloc((size_t)scanner->keep, sizeof *scanner->cells);
    return scanner->cells ? MR_OK : mr_error_nomem(err);
}

void mr_csv_scanner_reset(struct mr_csv_scanner *scanner)
{
    mr_free(scanner->cells);
    scanner->cells = NULL;
}

static inline uint64_t mask_of(const struct mr_csv_scanner *scanner, const char *block)
{
    const struct mr_csv_dialect *dialect = &scanner->dialect;
    return mr_byte_mask(block, dialect->delimiter, dialect->quote, dialect->escape, '\n');
}

/* Begins to look for special bytes at `at`. */
static void look_from(struct mr_csv_scanner *scanner, const char *at)
{
    scanner->at = scanner->block = at;
    scanner->mask = at < scanner->end ? mask_of(scanner, at) : 0;
}

void mr_csv_scanner_set(struct mr_csv_scanner *scanner, const char *text, size_t size, bool last)
{
    scanner->text = text;
    scanner->end = text + size;
    scanner->last = last;
    look_from(scanner, text);
}

/* The next special byte, or NULL at the end of the text. */
static inline const char *next_special(struct mr_csv_scanner *scanner)
{
    while (scanner->mask == 0) {
        scanner->block += 64;
        if (scanner->block >= scanner->end) {
            scanner->block -= 64;
            return NULL;
        }
        scanner->mask = mask_of(scanner, scanner->block);
    }
    const char *found = scanner->block + __builtin_ctzll(scanner->mask);
    scanner->mask &= scanner->mask - 1;
    return found < scanner->end ? found : NULL;
}

static inline void add_cell(struct mr_csv_scanner *scanner, const char *start, const char *end,
                            bool quoted, bool escaped)
{
    if (scanner->ncells < scanner->keep)
        scanner->cells[scanner->ncells] =
            (struct mr_csv_cell){(uint32_t)(start - scanner->record), (uint32_t)(end - start),
                                 quoted, escaped};
    scanner->ncells++;
}

/* What a cell ended with. */
enum stop { STOP_DELIMITER, STOP_LINE, STOP_TEXT, STOP_OPEN, STOP_BEHIND };

/* In front of a line break: \r belongs to it. */
static inline const char *without_return(const char *start, const char *end)
{
    return end > start && end[-1] == '\r' ? end - 1 : end;
}

/* To the end of the line, which is not of the cell. */
static enum stop skip_line(struct mr_csv_scanner *scanner, const char **at)
{
    const char *found;
    while ((found = next_special(scanner)) != NULL && *found != '\n')
        ;
    *at = found ? found : scanner->end;
    return found ? STOP_LINE : STOP_TEXT;
}

/* Behind a closing quote at `quote`: a delimiter, the end of the line or of the text. */
static enum stop behind_quote(struct mr_csv_scanner *scanner, const char *quote, const char **at)
{
    const char *next = quote + 1;
    if (next < scanner->end && *next == '\r' && next + 1 < scanner->end && next[1] == '\n')
        next++;
    if (next == scanner->end || (*next == '\r' && next + 1 == scanner->end)) {
        *at = scanner->end;
        return STOP_TEXT;
    }
    if (*next != scanner->dialect.delimiter && *next != '\n')
        return STOP_BEHIND;
    *at = next_special(scanner);
    return *next == '\n' ? STOP_LINE : STOP_DELIMITER;
}

/* A cell whose opening quote is at `start`. */
static enum stop scan_quoted(struct mr_csv_scanner *scanner, const char *start, const char **at)
{
    const struct mr_csv_dialect *dialect = &scanner->dialect;
    bool escaped = false;
    const char *found;
    while ((found = next_special(scanner)) != NULL) {
        if (*found == '\n') {
            if (scanner->lines) {
                *at = found;
                return STOP_OPEN;
            }
            scanner->next_line++;
        } else if (*found == dialect->quote) {
            if (found + 1 < scanner->end && found[1] == dialect->quote) {
                next_special(scanner);
                escaped = true;
                continue;
            }
            if (found + 1 == scanner->end && !scanner->last)
                break;
            add_cell(scanner, start + 1, found, true, escaped);
            return behind_quote(scanner, found, at);
        } else if (*found == dialect->escape) {
            bool special = found + 1 < scanner->end &&
                           (found[1] == dialect->quote || found[1] == dialect->escape);
            if (special)
                next_special(scanner);
            escaped |= special;
        }
    }
    *at = scanner->end;
    return STOP_OPEN;
}

static inline enum stop scan_plain(struct mr_csv_scanner *scanner, const char *start,
                                   const char *found, const char **at)
{
    while (found != NULL && *found != scanner->dialect.delimiter && *found != '\n')
        found = next_special(scanner);
    *at = found ? found : scanner->end;
    if (found && *found == scanner->dialect.delimiter) {
        add_cell(scanner, start, found, false, false);
        return STOP_DELIMITER;
    }
    add_cell(scanner, start, without_return(start, *at), false, false);
    return found ? STOP_LINE : STOP_TEXT;
}

static enum mr_csv_found bad(struct mr_csv_scanner *scanner, const char *reason, const char *end,
                             bool line)
{
    scanner->reason = reason;
    scanner->record_end = without_return(scanner->record, end);
    scanner->at = line ? end + 1 : end;
    scanner->next_line += line;
    return MR_CSV_BAD;
}

/* The quote that opened a cell of the record is not closed: only the record's first line is bad. */
static enum mr_csv_found bad_open(struct mr_csv_scanner *scanner)
{
    const char *end = memchr(scanner->record, '\n', (size_t)(scanner->end - scanner->record));
    look_from(scanner, end ? end + 1 : scanner->end);
    scanner->next_line = scanner->line;
    return bad(scanner, "a quote is not closed", end ? end : scanner->end, end != NULL);
}

static enum mr_csv_found finish(struct mr_csv_scanner *scanner, const char *at, bool line)
{
    scanner->record_end = without_return(scanner->record, at);
    scanner->at = line ? at + 1 : at;
    scanner->next_line += line;
    return MR_CSV_RECORD;
}

static enum mr_csv_found more(struct mr_csv_scanner *scanner)
{
    scanner->next_line = scanner->line;
    look_from(scanner, scanner->record);
    return MR_CSV_MORE;
}

static enum mr_csv_found scan_record(struct mr_csv_scanner *scanner)
{
    const char *start = scanner->record, *at = start;
    scanner->ncells = 0;
    for (;; start = at + 1) {
        const char *found = next_special(scanner);
        bool quoted = found == start && *found == scanner->dialect.quote;
        enum stop stop =
            quoted ? scan_quoted(scanner, start, &at) : scan_plain(scanner, start, found, &at);
        if (stop == STOP_DELIMITER)
            continue;
        if (stop == STOP_LINE)
            return finish(scanner, at, true);
        if (stop == STOP_OPEN && scanner->lines && at < scanner->end)
            return bad(scanner, "a quote is not closed at the end of the line", at, true);
        bool behind = stop == STOP_BEHIND;
        if (behind)
            stop = skip_line(scanner, &at);
        if (stop != STOP_LINE && !scanner->last)
            return more(scanner);
        if (behind)
            return bad(scanner, "there is text behind a closing quote", at, stop == STOP_LINE);
        return stop == STOP_OPEN ? bad_open(scanner) : finish(scanner, at, false);
    }
}

enum mr_csv_found mr_csv_scan(struct mr_csv_scanner *scanner)
{
    for (;;) {
        scanner->record = scanner->at;
        scanner->line = scanner->next_line;
        if (scanner->record == scanner->end)
            return scanner->last ? MR_CSV_END : MR_CSV_MORE;
        enum mr_csv_found found = scan_record(scanner);
        if (found != MR_CSV_RECORD || scanner->ncells != 1 || scanner->cells[0].quoted ||
            scanner->cells[0].size > 0)
            return found;
    }
}

void mr_csv_scanner_move(struct mr_csv_scanner *scanner, const char *at, int64_t lines)
{
    scanner->next_line += lines;
    look_from(scanner, at);
}

struct mr_slice mr_csv_cell_text(const struct mr_csv_scanner *scanner,
                                 const struct mr_csv_cell *cell, struct mr_bytes *scratch)
{
    const char *at = scanner->record + cell->start, *end = at + cell->size;
    char quote = scanner->dialect.quote, escape = scanner->dialect.escape;
    if (!cell->escaped)
        return (struct mr_slice){at, cell->size};
    mr_bytes_clear(scratch);
    char *to = mr_bytes_reserve(scratch, cell->size);
    if (!to)
        return (struct mr_slice){"", 0};
    for (; at < end; at++) {
        bool skip = at + 1 < end && ((*at == quote && at[1] == quote) ||
                                     (*at == escape && (at[1] == quote || at[1] == escape)));
        at += skip;
        *to++ = *at;
    }
    scratch->size = (size_t)(to - scratch->data);
    return (struct mr_slice){scratch->data, scratch->size};
}

bool mr_csv_cell_is_null(const struct mr_csv_scanner *scanner, const struct mr_csv_cell *cell)
{
    return !cell->quoted && cell->size == scanner->null_size &&
           memcmp(scanner->dialect.null_value, scanner->record + cell->start, cell->size) == 0;
}

bool mr_csv_guess_quoted(const struct mr_csv_dialect *dialect, const char *text, size_t size)
{
    char quote = dialect->quote, delimiter = dialect->delimiter;
    bool odd = false; /* quotes seen so far */
    for (size_t i = 1; i < size; i++) {
        if (dialect->escape != quote && text[i] == dialect->escape) {
            i++;
            continue;
        }
        if (text[i] != quote)
            continue;
        size_t from = i;
        while (i + 1 < size && text[i + 1] == quote)
            i++;
        if ((i - from + 1) % 2 == 0)
            continue;
        char left = text[from - 1], right = i + 1 < size ? text[i + 1] : '\0';
        bool opens = left == delimiter || left == '\n';
        bool closes = right == delimiter || right == '\n' || right == '\r';
        if (opens != closes)
            return closes != odd;
        odd ^= opens;
    }
    return false;
}
