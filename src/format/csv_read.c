/*
 * csv_read.c - CSV files to batches.
 *
 * Every range looks at the start of the file for the names of the columns; then records are scanned and decoded one by one
 * into builders of the columns wanted, other cells are only scanned over. A record belongs to the range in which its first
 * byte is.
 */
#include "enc/csv_block.h"
#include "enc/csv_infer.h"
#include "format/csv_head.h"
#include "format/text_read.h"

/* A batch ends when it took this much text. */
#define BATCH_BYTES  ((int64_t)4 << 20)
#define SAMPLE_BYTES ((int64_t)1 << 20)
#define SAMPLE_ROWS  20000

struct csv_reader {
    struct mr_csv_input input;
    struct mr_arena arena;
    struct mr_csv_decoder *decoder;
    struct mr_text_rows rows;
    int64_t from; /* records in front are only counted */
    int64_t stop; /* the first offset that is not ours */
    bool check;   /* at `stop` the next range guesses where it begins */
    bool done;
    struct mr_csv_block *block; /* NULL: record by record */
    int64_t most;               /* records of the next block: fewer where one was cut short */
    int64_t pause;              /* records until the next block is tried */
    int64_t odd;                /* pause after the next block that has none */
};

void mr_csv_read_close(void *opaque)
{
    struct csv_reader *reader = opaque;
    if (!reader)
        return;
    mr_csv_input_close(&reader->input);
    mr_csv_decoder_free(reader->decoder);
    mr_free(reader->block);
    mr_text_rows_reset(&reader->rows);
    mr_arena_reset(&reader->arena);
    mr_free(reader);
}

static enum mr_status config_at(const struct mr_format_read *read, struct mr_error *err)
{
    if (err)
        mr_error_where(err, "%s", read->source->name);
    return MR_SOURCE;
}

/* Which cell is column `name`? */
static enum mr_status find_place(const struct mr_format_read *read, const struct mr_schema *names,
                                 const char *name, int *place, struct mr_error *err)
{
    *place = mr_schema_find(names, name);
    if (*place != -2)
        return MR_OK;
    mr_error_data(err, MR_SOURCE, "the header has column '%s' twice", name);
    return config_at(read, err);
}

/* Without a header and without a full schema in the options the columns wanted are the first ones, unless named _c<n>. */
static bool by_position(const struct csv_reader *reader, const struct mr_schema *names)
{
    const struct mr_schema *wanted = reader->input.read->schema;
    if (reader->input.header)
        return false;
    for (int i = 0; i < wanted->nfields; i++)
        if (mr_schema_find(names, wanted->fields[i].name) == -1)
            return true;
    return false;
}

static enum mr_status make_decoder(struct csv_reader *reader, const struct mr_csv_head *head,
                                   struct mr_error *err)
{
    const struct mr_format_read *read = reader->input.read;
    const struct mr_schema *wanted = read->schema;
    bool ordinal = by_position(reader, head->names);
    int *places = mr_arena_calloc(&reader->arena, (size_t)wanted->nfields + 1, sizeof *places);
    if (!places)
        return mr_error_nomem(err);
    for (int i = 0; i < wanted->nfields; i++) {
        if (ordinal)
            places[i] = i < head->names->nfields ? i : -1;
        else
            MR_TRY(find_place(read, head->names, wanted->fields[i].name, &places[i], err));
        if (places[i] < 0 && !wanted->fields[i].nullable && head->names->nfields > 0) {
            mr_error_data(err, MR_SOURCE, "the file has no column '%s', which is NOT NULL",
                          wanted->fields[i].name);
            return config_at(read, err);
        }
    }
    return mr_csv_decoder_new(wanted, places, head->names->nfields, read->tz, read->runtime->memory,
                              &reader->decoder, err);
}

static int64_t range_end(const struct mr_format_read *read, const struct mr_file_range *range)
{
    int64_t end;
    if (__builtin_add_overflow(range->offset, range->size, &end) || end > read->source->size)
        return read->source->size;
    return end;
}

/* Moves to the first record of the range. */
static enum mr_status go_to_range(struct csv_reader *reader, const struct mr_file_range *range,
                                  const struct mr_csv_head *head, struct mr_error *err)
{
    struct mr_csv_input *input = &reader->input;
    bool plain = !input->text.codec;
    reader->from = range->offset;
    reader->stop = plain ? range_end(input->read, range) : INT64_MAX;
    if (!plain || input->breaks == MR_CSV_BREAKS_WHOLE) {
        /* one range: that of the first byte */
        reader->done = range->offset > 0 || range->size <= 0;
        reader->stop = INT64_MAX;
        return MR_OK;
    }
    reader->check = input->breaks == MR_CSV_BREAKS_CHECKED && !input->read->row_positions &&
                    reader->stop < input->read->source->size && reader->stop > head->data;
    input->text.soft = reader->stop;
    if (range->offset <= head->data || input->read->row_positions)
        return MR_OK;
    int64_t start;
    MR_TRY(mr_csv_find_record(input, range->offset, &start, err));
    mr_csv_input_seek(input, start, reader->stop);
    return MR_OK;
}

/* Positions are counted record by record. */
static enum mr_status make_block(struct csv_reader *reader, int ncells, struct mr_error *err)
{
    if (reader->rows.positioned || ncells == 0 || !mr_csv_decoder_blocks(reader->decoder))
        return MR_OK;
    reader->block = mr_alloc(sizeof *reader->block);
    if (!reader->block)
        return mr_error_nomem(err);
    reader->block->ncells = ncells;
    reader->most = MR_CSV_BLOCK_ROWS;
    return MR_OK;
}

static enum mr_status open_reader(struct csv_reader *reader, const struct mr_format_read *read,
                                  const struct mr_file_range *range, struct mr_error *err)
{
    struct mr_csv_head head;
    /* What is fetched for the head of a file is the range itself when that starts it. */
    int64_t soft = range->offset == 0 ? range_end(read, range) : 0;
    mr_arena_init(&reader->arena, NULL);
    MR_TRY(mr_csv_input_open(&reader->input, read, soft, err));
    MR_TRY(mr_text_rows_init(&reader->rows, read, read->schema, !reader->input.text.codec, err));
    MR_TRY(mr_csv_head_read(&reader->input, &reader->arena, &head, err));
    MR_TRY(make_decoder(reader, &head, err));
    MR_TRY(make_block(reader, head.names->nfields, err));
    return go_to_range(reader, range, &head, err);
}

enum mr_status mr_csv_read_open(const struct mr_format_read *read,
                                const struct mr_file_range *range, void **out, struct mr_error *err)
{
    if (!read->schema)
        return mr_error_internal(err, "CSV is read with a schema");
    struct csv_reader *reader = mr_calloc(1, sizeof *reader);
    if (!reader)
        return mr_error_nomem(err);
    enum mr_status status = open_reader(reader, read, range, err);
    if (status == MR_OK)
        *out = reader;
    else
        mr_csv_read_close(reader);
    return status;
}

/* The range behind begins where a guess says; it must be here. `next` is the record found there, -1: none. */
static enum mr_status check_cut(struct csv_reader *reader, int64_t next, struct mr_error *err)
{
    int64_t guess, size = reader->input.read->source->size;
    reader->done = true;
    if (!reader->check)
        return MR_OK;
    MR_TRY(mr_csv_find_record(&reader->input, reader->stop, &guess, err));
    if (guess == (next < 0 ? size : next))
        return MR_OK;
    mr_error_data(err, MR_SOURCE,
                  "where a record begins cannot be told in the middle of this file: "
                  "its quotes are ambiguous or not closed");
    if (err) {
        mr_error_where(err, "%s: byte %lld", reader->input.read->source->name,
                       (long long)reader->stop);
        mr_error_hint(err, "multiLine true reads the file in one piece; false when no value has "
                           "a line break");
    }
    return MR_SOURCE;
}

static enum mr_status take_record(struct csv_reader *reader, enum mr_csv_found found,
                                  struct mr_error *err)
{
    struct mr_csv_scanner *scanner = &reader->input.scanner;
    const struct mr_format_read *read = reader->input.read;
    struct mr_rows *rows = &reader->rows.rows;
    struct mr_row_fault fault;
    fault.found = false;
    int64_t before = rows->count;
    if (found == MR_CSV_BAD)
        mr_row_fault_set(&fault, NULL, "%s", scanner->reason);
    else
        MR_TRY(mr_csv_decode(reader->decoder, scanner, read->on_error == MR_ON_ERROR_NULL, rows,
                             &fault, err));
    if (!fault.found && !reader->rows.positioned)
        return MR_OK;
    struct mr_text_place place;
    mr_csv_input_place(&reader->input, &place);
    return mr_text_rows_settle(&reader->rows, before, &fault, &place, err);
}

/*
 * Plain records at once, as many as there are; *took = 0: the next one is to be taken by itself. Where records are odd or bad
 * time and again, blocks become small and are tried less often.
 */
static enum mr_status take_block(struct csv_reader *reader, int64_t *took, struct mr_error *err)
{
    struct mr_csv_input *input = &reader->input;
    struct mr_csv_block *block = reader->block;
    *took = 0;
    if (!block || !input->loaded || reader->pause-- > 0)
        return MR_OK;
    int64_t left = reader->rows.most - reader->rows.rows.count, good = 0;
    int64_t size = (int64_t)mr_text_reader_size(&input->text), stop = size;
    const char *text = mr_text_reader_data(&input->text);
    if (reader->stop - mr_text_reader_offset(&input->text) < size)
        stop = reader->stop - mr_text_reader_offset(&input->text);
    mr_csv_block_scan(&input->scanner, block, left < reader->most ? left : reader->most,
                      text + stop);
    reader->pause = 0;
    if (block->rows > 0)
        MR_TRY(mr_csv_decode_block(reader->decoder, &input->scanner, block, &reader->rows.rows,
                                   &good, err));
    if (good < block->rows) {
        mr_csv_block_rewind(&input->scanner, block, good);
        reader->most = good < 8 ? 16 : 2 * good;
    } else if (reader->most < MR_CSV_BLOCK_ROWS) {
        reader->most *= 2;
    }
    *took = good;
    if (good > 0)
        reader->odd = 0;
    else
        reader->pause = reader->odd = reader->odd < 32 ? 2 * reader->odd + 1 : 63;
    return MR_OK;
}

enum mr_status mr_csv_read_next(void *opaque, struct mr_batch **out, struct mr_error *err)
{
    struct csv_reader *reader = opaque;
    int64_t taken = -1;
    *out = NULL;
    while (!reader->done && reader->rows.rows.count < reader->rows.most) {
        enum mr_csv_found found;
        int64_t took;
        MR_TRY(take_block(reader, &took, err));
        if (took > 0) {
            int64_t offset = mr_csv_input_offset(&reader->input);
            taken = taken < 0 ? offset : taken;
            if (offset - taken >= BATCH_BYTES)
                break;
            continue;
        }
        MR_TRY(mr_csv_input_next(&reader->input, &found, err));
        int64_t offset = mr_csv_input_offset(&reader->input);
        if (found == MR_CSV_END || offset >= reader->stop) {
            MR_TRY(check_cut(reader, found == MR_CSV_END ? -1 : offset, err));
            break;
        }
        if (offset < reader->from) {
            reader->rows.position++;
            continue;
        }
        MR_TRY(take_record(reader, found, err));
        taken = taken < 0 ? offset : taken;
        if (offset - taken >= BATCH_BYTES && reader->rows.rows.count > 0)
            break;
    }
    return mr_text_rows_finish(&reader->rows, out, err);
}

static enum mr_status infer(struct mr_csv_input *input, const struct mr_csv_head *head,
                            struct mr_arena *arena, const struct mr_schema **out,
                            struct mr_error *err)
{
    struct mr_csv_guess *guess;
    MR_TRY(mr_csv_guess_new(head->names, &guess, err));
    enum mr_status status = MR_OK;
    for (int rows = 0; rows < SAMPLE_ROWS && status == MR_OK; rows++) {
        enum mr_csv_found found;
        status = mr_csv_input_next(input, &found, err);
        if (status != MR_OK || found == MR_CSV_END || mr_csv_input_offset(input) >= SAMPLE_BYTES)
            break;
        if (found == MR_CSV_RECORD)
            status = mr_csv_guess_record(guess, &input->scanner, err);
    }
    if (status == MR_OK)
        status = mr_csv_guess_schema(guess, arena, out, err);
    mr_csv_guess_free(guess);
    return status;
}

/* A file whose header knows none of the columns has another header, or none. */
static enum mr_status check_names(const struct mr_format_read *read, const struct mr_csv_head *head,
                                  struct mr_error *err)
{
    const struct mr_schema *wanted = read->schema;
    if (wanted->nfields == 0 || head->names->nfields == 0)
        return MR_OK;
    for (int i = 0; i < wanted->nfields; i++)
        if (mr_schema_find(head->names, wanted->fields[i].name) != -1)
            return MR_OK;
    mr_error_data(err, MR_SOURCE, "the first line has none of the schema's columns");
    if (err)
        mr_error_hint(err, "header false says that the first line is data; the first value is '%s'",
                      head->names->fields[0].name);
    return config_at(read, err);
}

static enum mr_status check_twice(const struct mr_format_read *read, const struct mr_schema *names,
                                  struct mr_error *err)
{
    int place;
    for (int i = 0; i < names->nfields; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(names->fields[i].name, names->fields[j].name) == 0)
                return find_place(read, names, names->fields[i].name, &place, err);
    return MR_OK;
}

static enum mr_status probe_input(struct mr_csv_input *input, const struct mr_format_read *read,
                                  struct mr_arena *arena, struct mr_file_info *info,
                                  struct mr_error *err)
{
    struct mr_csv_head head;
    MR_TRY(mr_csv_head_read(input, arena, &head, err));
    info->rows = -1;
    info->splittable = !input->text.codec && input->breaks != MR_CSV_BREAKS_WHOLE;
    info->inferred = !read->schema && input->infer;
    if (read->schema) {
        info->schema = read->schema;
        return input->header ? check_names(read, &head, err) : MR_OK;
    }
    MR_TRY(check_twice(read, head.names, err));
    info->schema = head.names;
    return input->infer ? infer(input, &head, arena, &info->schema, err) : MR_OK;
}

enum mr_status mr_csv_probe(const struct mr_format_read *read, struct mr_arena *arena,
                            struct mr_file_info *info, struct mr_error *err)
{
    struct mr_csv_input input;
    *info = (struct mr_file_info){.rows = -1};
    MR_TRY(mr_csv_input_open(&input, read, SAMPLE_BYTES, err));
    enum mr_status status = probe_input(&input, read, arena, info, err);
    mr_csv_input_close(&input);
    return status;
}
