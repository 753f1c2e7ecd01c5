/*
 * csv_head.c - records out of windows, the first lines of a file, and where records begin behind a cut.
 *
 * Behind a cut in the middle of a file nobody knows whether a line break ends a record or is part of a value in quotes.
 * Unless the file is said to have none, the first quote that can only open or only close a value decides (of 256 KiB;
 * quotes between two delimiters could do either). That is a guess, so the range in front, which knows, makes the same guess
 * when it is done and compares: what was read is either exact or an error that names the remedy. Scanning a file
 * from its start for each range is exact too, and reads it once for each of them.
 */
#include "format/csv_head.h"

#include "base/text.h"
#include "format/csv_dialect.h"

/* More columns than this are no table. */
#define COLUMNS_MAX 65536
#define GUESS_BYTES ((size_t)256 << 10)
/* Longer runs of quotes are not looked through to their start. */
#define LOOK_BACK ((int64_t)64)

static enum mr_csv_breaks breaks_of(const struct mr_options *options)
{
    if (!options || !mr_option_find(options->table, "multiLine") ||
        !mr_options_get(options, "multiLine")->set)
        return MR_CSV_BREAKS_CHECKED;
    return mr_options_boolean(options, "multiLine", false) ? MR_CSV_BREAKS_WHOLE
                                                           : MR_CSV_BREAKS_NEVER;
}

static bool flag(const struct mr_options *options, const char *name)
{
    if (!options || !mr_option_find(options->table, name))
        return true;
    return mr_options_boolean(options, name, true);
}

enum mr_status mr_csv_input_open(struct mr_csv_input *input, const struct mr_format_read *read,
                                 int64_t soft, struct mr_error *err)
{
    *input = (struct mr_csv_input){.read = read, .lines_known = true};
    MR_TRY(mr_csv_dialect_of(mr_csv_options(read->options), &input->dialect, err));
    MR_TRY(mr_csv_dialect_check(&input->dialect, err));
    input->breaks = breaks_of(read->options);
    input->header = flag(read->options, "header");
    input->infer = flag(read->options, "inferSchema");
    MR_TRY(mr_csv_scanner_init(&input->scanner, &input->dialect,
                               input->breaks == MR_CSV_BREAKS_NEVER, COLUMNS_MAX, err));
    enum mr_status status = mr_text_reader_open(&input->text, read, 0, soft, err);
    if (status != MR_OK)
        mr_csv_scanner_reset(&input->scanner);
    return status;
}

void mr_csv_input_close(struct mr_csv_input *input)
{
    if (!input->scanner.cells)
        return;
    mr_text_reader_close(&input->text);
    mr_csv_scanner_reset(&input->scanner);
}

void mr_csv_input_seek(struct mr_csv_input *input, int64_t offset, int64_t soft)
{
    mr_text_reader_seek(&input->text, offset, soft);
    input->loaded = false;
    input->lines_known = false;
}

static void load(struct mr_csv_input *input, bool last)
{
    mr_csv_scanner_set(&input->scanner, mr_text_reader_data(&input->text),
                       mr_text_reader_size(&input->text), last);
    input->loaded = true;
}

static enum mr_status more(struct mr_csv_input *input, struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    if (input->loaded)
        text->begin = (size_t)(input->scanner.at - text->data);
    bool first = text->base + (int64_t)text->end == 0;
    MR_TRY(mr_text_reader_fill(text, err));
    if (first && mr_text_reader_size(text) >= 3 &&
        memcmp(mr_text_reader_data(text), "\xef\xbb\xbf", 3) == 0)
        text->begin += 3;
    load(input, text->eof);
    return MR_OK;
}

/* The window is full of one record. If a quote is open its line is bad and the rest is looked at anew. */
static enum mr_status too_long(struct mr_csv_input *input, enum mr_csv_found *found,
                               struct mr_error *err)
{
    load(input, true);
    *found = mr_csv_scan(&input->scanner);
    if (*found != MR_CSV_BAD)
        return more(input, err); /* says that the record is too long */
    input->scanner.last = input->text.eof;
    return MR_OK;
}

enum mr_status mr_csv_input_next(struct mr_csv_input *input, enum mr_csv_found *found,
                                 struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    if (!input->loaded)
        MR_TRY(more(input, err));
    while ((*found = mr_csv_scan(&input->scanner)) == MR_CSV_MORE) {
        bool full = input->scanner.at == text->data && text->end == text->capacity &&
                    text->capacity >= MR_TEXT_RECORD_MAX;
        if (full)
            return too_long(input, found, err);
        MR_TRY(more(input, err));
    }
    return MR_OK;
}

void mr_csv_input_place(const struct mr_csv_input *input, struct mr_text_place *place)
{
    const struct mr_csv_scanner *scanner = &input->scanner;
    place->line = input->lines_known ? scanner->line : -1;
    place->offset = mr_csv_input_offset(input);
    place->record =
        (struct mr_slice){scanner->record, (size_t)(scanner->record_end - scanner->record)};
}

/* Names from the cells of the header; an empty one is _c and its number. */
static enum mr_status take_names(struct mr_csv_input *input, struct mr_arena *arena,
                                 struct mr_field *fields, int count, struct mr_error *err)
{
    struct mr_bytes scratch;
    mr_bytes_init(&scratch, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = MR_OK;
    for (int i = 0; i < count && status == MR_OK; i++) {
        struct mr_slice text =
            mr_csv_cell_text(&input->scanner, &input->scanner.cells[i], &scratch);
        status = mr_bytes_status(&scratch, err);
        fields[i].name = text.size > 0 ? mr_arena_strndup(arena, text.data, text.size)
                                       : mr_arena_printf(arena, "_c%d", i);
        if (status == MR_OK && !fields[i].name)
            status = mr_error_nomem(err);
        if (status == MR_OK && (memchr(text.data, '\0', text.size) != NULL ||
                                mr_utf8_valid_prefix(text.data, text.size) != text.size)) {
            status =
                mr_error_data(err, MR_SOURCE, "the name of column %d is not UTF-8 text", i + 1);
            if (err)
                mr_error_where(err, "%s", input->read->source->name);
        }
    }
    mr_bytes_reset(&scratch);
    return status;
}

/* Without a header: names of the schema that the user wrote, or numbers. */
static enum mr_status give_names(struct mr_csv_input *input, struct mr_arena *arena,
                                 struct mr_field *fields, int count, struct mr_error *err)
{
    const struct mr_options *options = input->read->options;
    const struct mr_schema *schema = NULL;
    if (options && mr_option_find(options->table, "schema") && mr_options_text(options, "schema"))
        MR_TRY(mr_schema_parse(arena, mr_options_text(options, "schema"), &schema, err));
    for (int i = 0; i < count; i++) {
        fields[i].name = schema && i < schema->nfields ? schema->fields[i].name
                                                       : mr_arena_printf(arena, "_c%d", i);
        if (!fields[i].name)
            return mr_error_nomem(err);
    }
    return MR_OK;
}

enum mr_status mr_csv_head_read(struct mr_csv_input *input, struct mr_arena *arena,
                                struct mr_csv_head *head, struct mr_error *err)
{
    enum mr_csv_found found;
    struct mr_csv_scanner *scanner = &input->scanner;
    MR_TRY(mr_csv_input_next(input, &found, err));
    int count = found == MR_CSV_END ? 0 : scanner->ncells;
    if (found == MR_CSV_BAD || count > COLUMNS_MAX) {
        mr_error_data(err, MR_SOURCE, "the first record is no list of columns: %s",
                      found == MR_CSV_BAD ? scanner->reason : "it has more than 65536 values");
        if (err)
            mr_error_where(err, "%s: line %lld", input->read->source->name,
                           (long long)scanner->line);
        return MR_SOURCE;
    }
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)count + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++)
        fields[i] = (struct mr_field){.type = mr_type_of(MR_TYPE_STRING), .nullable = true};
    MR_TRY(input->header ? take_names(input, arena, fields, count, err)
                         : give_names(input, arena, fields, count, err));
    head->names = mr_schema_new(arena, fields, count);
    if (!head->names)
        return mr_error_nomem(err);
    if (!input->header && found == MR_CSV_RECORD) { /* the record is data: once more */
        input->text.begin = (size_t)(scanner->record - input->text.data);
        scanner->next_line = scanner->line;
        load(input, input->text.eof);
    }
    head->data = input->text.base + (scanner->at - input->text.data);
    head->line = scanner->next_line;
    return MR_OK;
}

/* At least `size` bytes in the window, or all there are. */
static enum mr_status gather(struct mr_csv_input *input, size_t size, struct mr_error *err)
{
    while (!input->text.eof && mr_text_reader_size(&input->text) < size)
        MR_TRY(mr_text_reader_fill(&input->text, err));
    return MR_OK;
}

/* Consumes the window up to behind the first line break outside quotes. False: none in the window. */
static bool pass_line(struct mr_csv_input *input, bool *quoted)
{
    const struct mr_csv_dialect *dialect = &input->dialect;
    struct mr_text_reader *text = &input->text;
    for (size_t i = text->begin; i < text->end; i++) {
        char c = text->data[i];
        if (c == '\n' && !*quoted) {
            text->begin = i + 1;
            return true;
        }
        if (input->breaks == MR_CSV_BREAKS_NEVER)
            continue;
        if (c == dialect->escape && c != dialect->quote && *quoted)
            i++;
        else if (c == dialect->quote)
            *quoted = !*quoted;
    }
    text->begin = text->end;
    return false;
}

/* Empty lines are no records. */
static enum mr_status pass_empty(struct mr_csv_input *input, struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    for (;;) {
        MR_TRY(gather(input, 2, err));
        size_t size = mr_text_reader_size(text);
        const char *at = mr_text_reader_data(text);
        if (size >= 1 && *at == '\n')
            text->begin++;
        else if (size >= 2 && *at == '\r' && at[1] == '\n')
            text->begin += 2;
        else
            return MR_OK;
    }
}

/*
 * Is what stands at `offset` in quotes? The window begins some bytes in front of it, and is left at the byte from which on
 * quotes are to be counted: a run of quotes that the cut is in the middle of counts whole.
 */
static enum mr_status guess_quoted(struct mr_csv_input *input, int64_t offset, bool *quoted,
                                   struct mr_error *err)
{
    const struct mr_csv_dialect *dialect = &input->dialect;
    struct mr_text_reader *text = &input->text;
    MR_TRY(gather(input, GUESS_BYTES, err));
    size_t front = text->begin + (size_t)(offset - 1 - mr_text_reader_offset(text)), at = front;
    while (at > text->begin &&
           (text->data[at] == dialect->quote || text->data[at] == dialect->escape))
        at--;
    size_t size = text->end - at;
    *quoted =
        mr_csv_guess_quoted(dialect, text->data + at, size < GUESS_BYTES ? size : GUESS_BYTES);
    /* The byte in front of the offset counts only as a line break. */
    text->begin = at + (at < front || *quoted || text->data[at] != '\n');
    return MR_OK;
}

enum mr_status mr_csv_find_record(struct mr_csv_input *input, int64_t offset, int64_t *start,
                                  struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    bool quoted = false, found = false, plain = input->breaks == MR_CSV_BREAKS_NEVER;
    int64_t back = plain ? 1 : offset < LOOK_BACK ? offset : LOOK_BACK;
    mr_csv_input_seek(input, offset - back, offset + (int64_t)GUESS_BYTES);
    if (!plain && offset - back < input->read->source->size)
        MR_TRY(guess_quoted(input, offset, &quoted, err));
    while (!found) {
        found = pass_line(input, &quoted);
        if (!found && text->eof)
            break;
        if (!found)
            MR_TRY(mr_text_reader_fill(text, err));
    }
    if (found)
        MR_TRY(pass_empty(input, err));
    *start = found ? mr_text_reader_offset(text) : input->read->source->size;
    return MR_OK;
}
