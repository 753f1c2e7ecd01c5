/*
 * json_input.c - cuts a window into records.
 *
 * Lines come in pieces of many, so that the decoder can look for tokens in all of them at once. The elements of a document are
 * found by the depth of their brackets, and are pieces of their own; a document of any size passes through the
 * window, and only one element has to fit.
 */
#include "format/json_input.h"

#include "base/byte_mask.h"

#include <string.h>

/* Tokens of so much text stay in the second-level cache. */
#define PIECE ((size_t)128 << 10)

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

enum mr_status mr_json_input_open(struct mr_json_input *input, const struct mr_format_read *read,
                                  int64_t soft, struct mr_error *err)
{
    const struct mr_options *options = read->options;
    *input = (struct mr_json_input){.read = read, .lines_known = true, .line = 1};
    input->document = options && mr_option_find(options->table, "multiLine") &&
                      mr_options_boolean(options, "multiLine", false);
    return mr_text_reader_open(&input->text, read, 0, soft, err);
}

void mr_json_input_close(struct mr_json_input *input)
{
    if (input->read)
        mr_text_reader_close(&input->text);
}

static enum mr_status fill(struct mr_json_input *input, struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    bool first = text->base + (int64_t)text->end == 0;
    MR_TRY(mr_text_reader_fill(text, err));
    if (first && mr_text_reader_size(text) >= 3 &&
        memcmp(mr_text_reader_data(text), "\xef\xbb\xbf", 3) == 0)
        text->begin += 3;
    return MR_OK;
}

enum mr_status mr_json_input_seek(struct mr_json_input *input, int64_t offset, int64_t soft,
                                  struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    const char *stop = NULL;
    input->lines_known = false;
    mr_text_reader_seek(text, offset - 1, soft);
    while (!stop) {
        if (mr_text_reader_size(text) == 0 && text->eof)
            return MR_OK;
        MR_TRY(fill(input, err));
        stop = memchr(mr_text_reader_data(text), '\n', mr_text_reader_size(text));
        text->begin = stop ? (size_t)(stop + 1 - text->data) : text->end;
        if (text->eof)
            return MR_OK;
    }
    return MR_OK;
}

static int64_t count_lines(const char *at, const char *end)
{
    int64_t count = 0;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* Whole lines at the start of the window; all of it at the end of the file. */
static enum mr_status next_piece(struct mr_json_input *input, struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    text->begin += input->piece.size;
    input->piece.size = input->done = 0;
    for (;;) {
        const char *data = mr_text_reader_data(text);
        size_t size = mr_text_reader_size(text), part = size < PIECE ? size : PIECE;
        const char *stop = size > 0 ? memrchr(data, '\n', part) : NULL;
        if (!stop && size > part)
            stop = memchr(data + part, '\n', size - part);
        if (stop || text->eof) {
            input->piece = (struct mr_slice){data, stop ? (size_t)(stop + 1 - data) : size};
            input->fresh = true;
            return MR_OK;
        }
        MR_TRY(fill(input, err));
    }
}

static enum mr_status next_line(struct mr_json_input *input, bool *found, struct mr_error *err)
{
    if (input->done == input->piece.size)
        MR_TRY(next_piece(input, err));
    const char *start = input->piece.data + input->done;
    size_t left = input->piece.size - input->done;
    *found = left > 0;
    if (!*found)
        return MR_OK;
    const char *stop = memchr(start, '\n', left);
    input->place = (struct mr_text_place){
        .line = input->lines_known ? input->line : -1,
        .offset = mr_text_reader_offset(&input->text) + (int64_t)input->done,
        .record = {start, stop ? (size_t)(stop - start) : left},
    };
    input->line++;
    input->done += input->place.record.size + (stop != NULL);
    return MR_OK;
}

static enum mr_status malformed(struct mr_json_input *input, const char *what, struct mr_error *err)
{
    struct mr_row_fault fault = {.found = false};
    struct mr_text_place place = {.line = input->line,
                                  .offset = mr_text_reader_offset(&input->text)};
    mr_row_fault_set(&fault, NULL, "the document is malformed: %s", what);
    mr_text_fault(input->read, false, &fault, &place, err);
    if (err)
        mr_error_hint(err, "multiLine reads an array of objects, or objects one after the other");
    return MR_SOURCE;
}

static void consume(struct mr_json_input *input, size_t size)
{
    struct mr_text_reader *text = &input->text;
    const char *at = mr_text_reader_data(text);
    input->line += count_lines(at, at + size);
    text->begin += size;
}

/* The next byte that is not blank, not consumed; 0 at the end of the file. */
static enum mr_status next_byte(struct mr_json_input *input, char *out, struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    for (;;) {
        const char *data = mr_text_reader_data(text);
        size_t size = mr_text_reader_size(text), i = 0;
        while (i < size && is_blank(data[i]))
            i++;
        *out = i < size ? data[i] : '\0';
        consume(input, i);
        if (i < size || text->eof)
            return MR_OK;
        MR_TRY(fill(input, err));
    }
}

/* Bytes of the bracketed value at the start of the text, 0: it does not end in it. */
static size_t bracketed(const char *data, size_t size)
{
    int64_t depth = 0;
    bool quoted = false;
    size_t ignore = SIZE_MAX;
    for (size_t block = 0; block < size; block += 64) {
        uint64_t mask = mr_byte_mask(data + block, '{', '}', '[', ']') |
                        mr_byte_mask(data + block, '"', '\\', '"', '"');
        for (; mask; mask &= mask - 1) {
            size_t i = block + (size_t)__builtin_ctzll(mask);
            char c = data[i];
            if (i >= size)
                return 0;
            if (i == ignore)
                continue;
            if (c == '\\')
                ignore = quoted ? i + 1 : ignore;
            else if (c == '"')
                quoted = !quoted;
            else if (!quoted)
                depth += c == '{' || c == '[' ? 1 : -1;
            if (!quoted && depth == 0 && c != '\\')
                return i + 1;
        }
    }
    return 0;
}

/* A value without brackets: no record, but it is passed over like one. */
static size_t unbracketed(const char *data, size_t size)
{
    size_t i = 0;
    if (data[0] == '"') {
        for (i = 1; i < size && data[i] != '"'; i++)
            i += data[i] == '\\';
        return i < size ? i + 1 : 0;
    }
    while (i < size && !is_blank(data[i]) && data[i] != ',' && data[i] != ']' && data[i] != '}')
        i++;
    return i < size ? i : 0;
}

static enum mr_status take_element(struct mr_json_input *input, char c, struct mr_error *err)
{
    struct mr_text_reader *text = &input->text;
    for (;;) {
        const char *data = mr_text_reader_data(text);
        size_t size = mr_text_reader_size(text);
        size_t taken = c == '{' || c == '[' ? bracketed(data, size) : unbracketed(data, size);
        if (taken > 0) {
            input->piece = (struct mr_slice){data, taken};
            input->place =
                (struct mr_text_place){input->line, mr_text_reader_offset(text), {data, taken}};
            input->fresh = true;
            return MR_OK;
        }
        if (text->eof)
            return malformed(input, "it ends inside a value", err);
        MR_TRY(fill(input, err));
    }
}

static enum mr_status next_element(struct mr_json_input *input, bool *found, struct mr_error *err)
{
    char c;
    *found = false;
    consume(input, input->piece.size);
    input->piece.size = 0;
    MR_TRY(next_byte(input, &c, err));
    while (!input->inside || c == ']') {
        if (!input->inside && c == '\0' && input->text.eof &&
            mr_text_reader_size(&input->text) == 0)
            return MR_OK;
        if (!input->inside && c != '[')
            break;
        input->inside = input->first = c == '[';
        consume(input, 1);
        MR_TRY(next_byte(input, &c, err));
    }
    if (input->inside && !input->first) {
        if (c != ',')
            return malformed(input, "no , or ] behind an element", err);
        consume(input, 1);
        MR_TRY(next_byte(input, &c, err));
    }
    if (input->inside ? c == '\0' || c == ',' || c == ']' || c == '}' : c != '{')
        return malformed(input, input->inside ? "an element is missing" : "no object", err);
    input->first = false;
    MR_TRY(take_element(input, c, err));
    *found = true;
    return MR_OK;
}

enum mr_status mr_json_input_next(struct mr_json_input *input, bool *found, struct mr_error *err)
{
    return input->document ? next_element(input, found, err) : next_line(input, found, err);
}
