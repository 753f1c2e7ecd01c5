/*
 * json_read.c - JSON files to batches: an object a line, or the objects of one document.
 *
 * A line belongs to the range in which its first byte is. The decoder gets many lines at once; if their tokens cannot be
 * found (a string that does not end, bytes that are no UTF-8) it gets them one by one, so that only the bad line is bad.
 */
#include "enc/json_decode.h"
#include "enc/json_infer.h"
#include "format/json_input.h"
#include "format/text_read.h"

/* A batch ends when it took this much text. */
#define BATCH_BYTES  ((int64_t)4 << 20)
#define SAMPLE_BYTES ((int64_t)1 << 20)
#define SAMPLE_ROWS  20000

struct json_reader {
    struct mr_json_input input;
    struct mr_json_decoder *decoder;
    struct mr_text_rows rows;
    const char *reason; /* why the piece could not be loaded */
    int64_t from;       /* records in front are only counted */
    int64_t stop;       /* the first offset that is not ours */
    bool done;
};

void mr_json_read_close(void *opaque)
{
    struct json_reader *reader = opaque;
    if (!reader)
        return;
    mr_json_input_close(&reader->input);
    mr_json_decoder_free(reader->decoder);
    mr_text_rows_reset(&reader->rows);
    mr_free(reader);
}

static enum mr_status open_reader(struct json_reader *reader, const struct mr_format_read *read,
                                  const struct mr_file_range *range, struct mr_error *err)
{
    struct mr_json_input *input = &reader->input;
    int64_t end = INT64_MAX;
    if (range->offset < 0 || __builtin_add_overflow(range->offset, range->size, &end))
        end = INT64_MAX;
    MR_TRY(mr_json_input_open(input, read, end, err));
    MR_TRY(mr_text_rows_init(&reader->rows, read, read->schema, !input->text.codec, err));
    MR_TRY(
        mr_json_decoder_new(read->schema, read->tz, read->runtime->memory, &reader->decoder, err));
    reader->from = range->offset;
    reader->stop = end;
    if (input->text.codec || input->document) { /* one range: that of the first byte */
        reader->done = range->offset > 0 || range->size <= 0;
        reader->stop = INT64_MAX;
        return MR_OK;
    }
    if (range->offset == 0 || read->row_positions)
        return MR_OK;
    return mr_json_input_seek(input, range->offset, end, err);
}

enum mr_status mr_json_read_open(const struct mr_format_read *read,
                                 const struct mr_file_range *range, void **out,
                                 struct mr_error *err)
{
    if (!read->schema)
        return mr_error_internal(err, "JSON is read with a schema");
    struct json_reader *reader = mr_calloc(1, sizeof *reader);
    if (!reader)
        return mr_error_nomem(err);
    enum mr_status status = open_reader(reader, read, range, err);
    if (status == MR_OK)
        *out = reader;
    else
        mr_json_read_close(reader);
    return status;
}

static enum mr_status take_record(struct json_reader *reader, struct mr_error *err)
{
    struct mr_json_input *input = &reader->input;
    const struct mr_format_read *read = input->read;
    struct mr_rows *rows = &reader->rows.rows;
    struct mr_slice record = input->place.record;
    int64_t before = rows->count;
    size_t from = (size_t)(record.data - input->piece.data);
    bool blank = false;
    struct mr_row_fault fault;
    fault.found = false;
    const char *reason = NULL;
    if (input->fresh)
        MR_TRY(mr_json_load(reader->decoder, input->piece.data, input->piece.size, &reader->reason,
                            err));
    input->fresh = false;
    if (reader->reason) {
        from = 0;
        MR_TRY(mr_json_load(reader->decoder, record.data, record.size, &reason, err));
    }
    if (reason)
        mr_row_fault_set(&fault, NULL, "%s", reason);
    else
        MR_TRY(mr_json_decode(reader->decoder, from, from + record.size,
                              read->on_error == MR_ON_ERROR_NULL, rows, &blank, &fault, err));
    if (blank || (!fault.found && !reader->rows.positioned))
        return MR_OK;
    return mr_text_rows_settle(&reader->rows, before, &fault, &input->place, err);
}

static bool is_blank_line(struct mr_slice line)
{
    size_t i = 0;
    while (i < line.size && strchr(" \t\r", line.data[i]) && line.data[i] != '\0')
        i++;
    return i == line.size;
}

enum mr_status mr_json_read_next(void *opaque, struct mr_batch **out, struct mr_error *err)
{
    struct json_reader *reader = opaque;
    struct mr_json_input *input = &reader->input;
    int64_t taken = -1;
    *out = NULL;
    while (!reader->done && reader->rows.rows.count < reader->rows.most) {
        bool found;
        MR_TRY(mr_json_input_next(input, &found, err));
        int64_t offset = input->place.offset;
        if (!found || offset >= reader->stop) {
            reader->done = true;
            break;
        }
        if (offset < reader->from) {
            reader->rows.position += !is_blank_line(input->place.record);
            continue;
        }
        MR_TRY(take_record(reader, err));
        taken = taken < 0 ? offset : taken;
        if (offset - taken >= BATCH_BYTES && reader->rows.rows.count > 0)
            break;
    }
    return mr_text_rows_finish(&reader->rows, out, err);
}

static enum mr_status infer(struct mr_json_input *input, struct mr_arena *arena,
                            const struct mr_schema **out, struct mr_error *err)
{
    struct mr_json_guess *guess;
    MR_TRY(mr_json_guess_new(arena, &guess, err));
    enum mr_status status = MR_OK;
    for (int rows = 0; rows < SAMPLE_ROWS && status == MR_OK; rows++) {
        bool found;
        status = mr_json_input_next(input, &found, err);
        if (status != MR_OK || !found || input->place.offset >= SAMPLE_BYTES)
            break;
        status = mr_json_guess_record(guess, input->place.record, err);
    }
    if (status == MR_OK)
        status = mr_json_guess_schema(guess, out, err);
    mr_json_guess_free(guess);
    return status;
}

enum mr_status mr_json_probe(const struct mr_format_read *read, struct mr_arena *arena,
                             struct mr_file_info *info, struct mr_error *err)
{
    struct mr_json_input input;
    *info = (struct mr_file_info){.rows = -1, .schema = read->schema};
    enum mr_status status = mr_json_input_open(&input, read, SAMPLE_BYTES, err);
    info->splittable = !input.text.codec && !input.document;
    info->inferred = !read->schema;
    if (status == MR_OK && !read->schema)
        status = infer(&input, arena, &info->schema, err);
    mr_json_input_close(&input);
    return status;
}
