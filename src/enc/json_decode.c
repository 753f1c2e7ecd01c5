/*
 * json_decode.c - from tokens straight into columns.
 *
 * json_index.cc finds the tokens of a piece of text, a row of records at a time; this walks them once, recursing where
 * types nest, and appends as it goes. There is no tree in between: the text of a string without escapes is copied from
 * the record into its column, and a number is read where it stands. What a record is appended in vain when it turns
 * out bad is cut off again (enc/rows.h).
 *
 * Four ends of a step: done; a fault of a value, behind which decoding goes on; a record that is no JSON; an error of memory.
 */
#include "enc/json_decode.h"

#include "base/hash.h"
#include "base/text.h"
#include "enc/json_index.h"
#include "enc/json_shape.h"
#include "enc/text_value.h"

/* The index grows in steps of this. */
#define ROOM_LEAST ((size_t)64 << 10)

enum step {
    GOOD,
    FAULTY, /* the value is passed over, nothing is appended */
    BROKEN, /* no JSON; or a fault when the row is not wanted then */
    FAILED, /* `status` */
};

struct mr_json_decoder {
    struct mr_arena arena;
    const struct mr_schema *schema;
    const struct mr_json_shape *shape;
    const struct mr_tz *tz;
    struct mr_memory *memory;
    struct mr_json_index *index;
    size_t room; /* of the index, charged */
    struct mr_bytes scratch;
    struct mr_bytes key;
    const char *text;
    const uint32_t *at;  /* the next token */
    const uint32_t *end; /* behind the last one */
    uint32_t limit;      /* the record ends here */
    int depth;
    bool null_faults;
    const char *column; /* of the row, for faults */
    struct mr_row_fault *fault;
    enum mr_status status;
    struct mr_error *err;
};

enum mr_status mr_json_decoder_new(const struct mr_schema *schema, const struct mr_tz *tz,
                                   struct mr_memory *memory, struct mr_json_decoder **out,
                                   struct mr_error *err)
{
    struct mr_json_decoder *decoder = mr_calloc(1, sizeof *decoder);
    if (!decoder)
        return mr_error_nomem(err);
    mr_arena_init(&decoder->arena, NULL);
    mr_bytes_init(&decoder->scratch, INT32_MAX);
    mr_bytes_init(&decoder->key, INT32_MAX);
    decoder->schema = schema;
    decoder->tz = tz;
    decoder->memory = memory;
    decoder->shape = mr_json_shape_of_schema(&decoder->arena, schema);
    decoder->index = mr_json_index_new();
    if (!decoder->shape || !decoder->index) {
        mr_json_decoder_free(decoder);
        return mr_error_nomem(err);
    }
    *out = decoder;
    return MR_OK;
}

void mr_json_decoder_free(struct mr_json_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->index)
        mr_json_index_free(decoder->index);
    mr_memory_credit(decoder->memory, (int64_t)(decoder->room * MR_JSON_INDEX_COST));
    mr_bytes_reset(&decoder->scratch);
    mr_bytes_reset(&decoder->key);
    mr_arena_reset(&decoder->arena);
    mr_free(decoder);
}

static enum mr_status make_room(struct mr_json_decoder *decoder, size_t size, struct mr_error *err)
{
    size_t room = decoder->room > 0 ? decoder->room : ROOM_LEAST;
    if (size <= decoder->room)
        return MR_OK;
    while (room < size)
        room *= 2;
    MR_TRY(mr_memory_charge(decoder->memory, (int64_t)((room - decoder->room) * MR_JSON_INDEX_COST),
                            err));
    decoder->room = room;
    return mr_json_index_reserve(decoder->index, room) ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_json_load(struct mr_json_decoder *decoder, const char *text, size_t size,
                            const char **reason, struct mr_error *err)
{
    uint32_t count = 0;
    *reason = NULL;
    if (size >= UINT32_MAX)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_DATA, "a JSON text of more than 4 GiB");
    MR_TRY(make_room(decoder, size, err));
    decoder->text = text;
    switch (mr_json_index_run(decoder->index, text, size, &decoder->at, &count)) {
    case MR_JSON_INDEXED:
        break;
    case MR_JSON_INDEX_NOMEM:
        return mr_error_nomem(err);
    case MR_JSON_INDEX_UTF8:
        *reason = "not valid UTF-8";
        break;
    case MR_JSON_INDEX_STRING:
        *reason = "a string that does not end, or with a control character";
        break;
    }
    decoder->end = decoder->at + count;
    return MR_OK;
}

static enum step broken(struct mr_json_decoder *decoder, const char *what)
{
    uint32_t at = decoder->at < decoder->end ? *decoder->at : decoder->limit;
    if (at >= decoder->limit)
        mr_row_fault_set(decoder->fault, NULL, "%s at the end of the text", what);
    else
        mr_row_fault_set(decoder->fault, NULL, "%s at '%.*s'", what,
                         (int)mr_utf8_valid_prefix(decoder->text + at, decoder->limit - at < 12
                                                                           ? decoder->limit - at
                                                                           : 12),
                         decoder->text + at);
    return BROKEN;
}

static enum step failed(struct mr_json_decoder *decoder, enum mr_status status)
{
    if (status == MR_OK)
        return GOOD;
    decoder->status = status;
    return FAILED;
}

/* The first byte of the next token; 0 at the end of the record. (A NUL byte in the text is no token's start either.) */
static inline char peek(const struct mr_json_decoder *decoder)
{
    return decoder->at < decoder->end && *decoder->at < decoder->limit ? decoder->text[*decoder->at]
                                                                       : '\0';
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* All of the next token: up to the one behind it, without the blanks between. */
static inline struct mr_slice token(const struct mr_json_decoder *decoder)
{
    uint32_t from = *decoder->at;
    uint32_t to = decoder->at + 1 < decoder->end ? decoder->at[1] : decoder->limit;
    to = to < decoder->limit ? to : decoder->limit;
    while (to > from && is_blank(decoder->text[to - 1]))
        to--;
    return (struct mr_slice){decoder->text + from, to - from};
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(struct mr_slice text, bool *integer)
{
    const char *at = text.data, *end = at + text.size;
    at += at < end && *at == '-';
    if (at == end || !is_digit(*at) || (*at == '0' && at + 1 < end && is_digit(at[1])))
        return false;
    while (at < end && is_digit(*at))
        at++;
    *integer = at == end;
    if (at < end && *at == '.') {
        const char *from = ++at;
        while (at < end && is_digit(*at))
            at++;
        if (at == from)
            return false;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        const char *from = at;
        while (at < end && is_digit(*at))
            at++;
        if (at == from)
            return false;
    }
    return at == end;
}

static bool is_word(struct mr_slice text, const char *word, size_t size)
{
    return text.size == size && memcmp(text.data, word, size) == 0;
}

static bool is_literal(struct mr_slice text)
{
    return is_word(text, "true", 4) || is_word(text, "false", 5) || is_word(text, "null", 4);
}

static int hex4(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = (char)(at[i] | 0x20);
        int digit = is_digit(at[i]) ? at[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* \uXXXX, or two of them for a pair; moves *at behind. False: no code point. */
static bool unescape_unicode(const char **at, const char *end, struct mr_bytes *out)
{
    char utf8[4];
    if (end - *at < 6)
        return false;
    int high = hex4(*at + 2);
    *at += 6;
    uint32_t point = (uint32_t)high;
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF))
        return false;
    if (high >= 0xD800 && high <= 0xDBFF) {
        if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
            return false;
        int low = hex4(*at + 2);
        if (low < 0xDC00 || low > 0xDFFF)
            return false;
        *at += 6;
        point = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    }
    mr_bytes_append(out, utf8, (size_t)mr_utf8_encode(point, utf8));
    return true;
}

/* The value of a string with escapes (without its quotes), into `out`. */
static bool unescape(struct mr_slice text, struct mr_bytes *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = text.data, *end = at + text.size;
    mr_bytes_clear(out);
    mr_bytes_append(out, "", 0);
    while (at < end) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        stop = stop ? stop : end;
        mr_bytes_append(out, at, (size_t)(stop - at));
        at = stop;
        if (at == end)
            break;
        if (at + 1 == end)
            return false;
        const char *simple = at[1] != '\0' ? strchr(from, at[1]) : NULL;
        if (simple) {
            mr_bytes_char(out, to[simple - from]);
            at += 2;
        } else if (at[1] != 'u' || !unescape_unicode(&at, end, out)) {
            return false;
        }
    }
    return true;
}

/* Short strings are the rule: a look at 8 bytes at a time costs less than a call. */
static inline bool has_escape(const char *data, size_t size)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), backslashes = ones * '\\';
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        word ^= backslashes;
        if ((word - ones) & ~word & (ones << 7))
            return true;
    }
    for (; size > 0; size--, data++)
        if (*data == '\\')
            return true;
    return false;
}

/* The string that is the next token, passed over; escapes are resolved into `scratch`. */
static inline enum step take_string(struct mr_json_decoder *decoder, struct mr_bytes *scratch,
                                    struct mr_slice *out)
{
    struct mr_slice all = token(decoder);
    if (all.size < 2 || all.data[all.size - 1] != '"')
        return broken(decoder, "a string with text behind it");
    *out = (struct mr_slice){all.data + 1, all.size - 2};
    if (has_escape(out->data, out->size)) {
        if (!unescape(*out, scratch))
            return broken(decoder, "an escape that is none");
        if (scratch->status != MR_OK)
            return failed(decoder, mr_bytes_status(scratch, decoder->err));
        *out = (struct mr_slice){scratch->data, scratch->size};
    }
    decoder->at++;
    return GOOD;
}

static enum step skip_scalar(struct mr_json_decoder *decoder)
{
    struct mr_slice text;
    bool integer;
    char c = peek(decoder);
    if (c == '"')
        return take_string(decoder, &decoder->scratch, &text);
    if (c == '\0')
        return broken(decoder, "a value is missing");
    text = token(decoder);
    if (!(c == '-' || is_digit(c) ? is_number(text, &integer) : is_literal(text)))
        return broken(decoder, "no JSON value");
    decoder->at++;
    return GOOD;
}

static enum step enter(struct mr_json_decoder *decoder)
{
    decoder->at++;
    if (++decoder->depth > MR_JSON_DEPTH_MAX)
        return broken(decoder, "nesting that is too deep");
    return GOOD;
}

/* Behind a value of an array or object: `,` goes on, `close` ends it. */
static inline enum step next_member(struct mr_json_decoder *decoder, char close, bool *more)
{
    char c = peek(decoder);
    *more = c == ',';
    if (c != ',' && c != close)
        return broken(decoder,
                      close == '}' ? "no , or } behind a value" : "no , or ] behind a value");
    decoder->at++;
    decoder->depth -= c == close;
    return GOOD;
}

/* A key and its colon. */
static inline enum step take_key(struct mr_json_decoder *decoder, struct mr_slice *key)
{
    if (peek(decoder) != '"')
        return broken(decoder, "no key");
    enum step step = take_string(decoder, &decoder->key, key);
    if (step != GOOD)
        return step;
    if (peek(decoder) != ':')
        return broken(decoder, "no : behind a key");
    decoder->at++;
    return GOOD;
}

/* Passes over any value and checks all of it. */
static enum step skip_value(struct mr_json_decoder *decoder)
{
    char open = peek(decoder), close = open == '{' ? '}' : ']';
    if (open != '{' && open != '[')
        return skip_scalar(decoder);
    enum step step = enter(decoder);
    if (step != GOOD)
        return step;
    if (peek(decoder) == close) {
        decoder->at++;
        decoder->depth--;
        return GOOD;
    }
    for (bool more = true; more;) {
        struct mr_slice key;
        step = open == '{' ? take_key(decoder, &key) : GOOD;
        if (step == GOOD)
            step = skip_value(decoder);
        if (step == GOOD)
            step = next_member(decoder, close, &more);
        if (step != GOOD)
            return step;
    }
    return GOOD;
}

/* A fault of the value of the column at hand. Unless rows are kept with NULLs the row ends here. */
static enum step fault_of(struct mr_json_decoder *decoder, enum mr_text_fault fault,
                          const struct mr_type *type, struct mr_slice text)
{
    char reason[200];
    mr_text_reason(fault, type, text, reason, sizeof reason);
    mr_row_fault_set(decoder->fault, decoder->column, "%s", reason);
    return decoder->null_faults ? FAULTY : BROKEN;
}

/* A value of a kind that the type does not take. */
static enum step mismatch(struct mr_json_decoder *decoder, const struct mr_type *type)
{
    const uint32_t *from = decoder->at;
    enum step step = skip_value(decoder);
    if (step != GOOD)
        return step;
    uint32_t start = *from, stop = decoder->at < decoder->end ? *decoder->at : decoder->limit;
    stop = stop < decoder->limit ? stop : decoder->limit;
    return fault_of(decoder, MR_TEXT_FORM, type,
                    (struct mr_slice){decoder->text + start, stop - start});
}

/* Any value as its text without blanks between tokens. */
static enum step append_document(struct mr_json_decoder *decoder, struct mr_builder *to)
{
    const uint32_t *from = decoder->at;
    enum step step = skip_value(decoder);
    if (step != GOOD)
        return step;
    const uint32_t *until = decoder->at;
    mr_bytes_clear(&decoder->scratch);
    for (decoder->at = from; decoder->at < until; decoder->at++) {
        struct mr_slice part = token(decoder);
        mr_bytes_append(&decoder->scratch, part.data, part.size);
    }
    if (decoder->scratch.status != MR_OK)
        return failed(decoder, mr_bytes_status(&decoder->scratch, decoder->err));
    return failed(decoder,
                  mr_builder_bytes(to, decoder->scratch.data, decoder->scratch.size, decoder->err));
}

/* A string for a type that is read from text. */
static enum step append_string(struct mr_json_decoder *decoder, struct mr_builder *to)
{
    struct mr_slice text;
    enum mr_text_fault fault;
    enum step step = take_string(decoder, &decoder->scratch, &text);
    if (step != GOOD)
        return step;
    if (to->type->id == MR_TYPE_STRING)
        return failed(decoder, mr_builder_bytes(to, text.data, text.size, decoder->err));
    step = failed(decoder, mr_text_decode(to, text, decoder->tz, &fault, decoder->err));
    return step == GOOD && fault != MR_TEXT_GOOD ? fault_of(decoder, fault, to->type, text) : step;
}

static enum step append_text_number(struct mr_json_decoder *decoder, struct mr_builder *to)
{
    struct mr_slice text = token(decoder);
    enum mr_text_fault fault;
    bool integer;
    int64_t seconds;
    if (!is_number(text, &integer))
        return broken(decoder, "no number");
    decoder->at++;
    if (to->type->id == MR_TYPE_TIMESTAMP) {
        if (!integer || !mr_text_int64(text, &seconds) ||
            __builtin_mul_overflow(seconds, 1000000, &seconds))
            return fault_of(decoder, integer ? MR_TEXT_RANGE : MR_TEXT_FORM, to->type, text);
        return failed(decoder, mr_builder_int(to, seconds, decoder->err));
    }
    enum step step = failed(decoder, mr_text_decode(to, text, decoder->tz, &fault, decoder->err));
    return step == GOOD && fault != MR_TEXT_GOOD ? fault_of(decoder, fault, to->type, text) : step;
}

static enum step append_bool(struct mr_json_decoder *decoder, struct mr_builder *to)
{
    struct mr_slice text = token(decoder);
    bool yes = is_word(text, "true", 4);
    if (!yes && !is_word(text, "false", 5))
        return broken(decoder, "no JSON value");
    decoder->at++;
    return failed(decoder, mr_builder_int(to, yes, decoder->err));
}

static enum step append_value(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                              struct mr_builder *to, bool nullable);

static enum step append_null(struct mr_json_decoder *decoder, struct mr_builder *to, bool nullable)
{
    if (!nullable) {
        mr_row_fault_set(decoder->fault, decoder->column, "NULL, and the column is NOT NULL");
        return BROKEN;
    }
    return failed(decoder, mr_builder_null(to, decoder->err));
}

/* Is the key that stands next this one, its colon directly behind? Then it is passed over. */
static inline bool take_likely(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                               int likely)
{
    if (likely >= shape->nfields || decoder->end - decoder->at < 2 ||
        decoder->at[1] >= decoder->limit)
        return false;
    const struct mr_json_key *key = &shape->keys[likely];
    const char *at = decoder->text + decoder->at[0];
    if (decoder->at[1] - decoder->at[0] != key->size + 2 || !key->plain || *at != '"' ||
        at[key->size + 1] != '"' || at[key->size + 2] != ':' ||
        memcmp(at + 1, key->name, key->size) != 0)
        return false;
    decoder->at += 2;
    return true;
}

/* The members of an object into the builders of its fields, the row being number `row` of each. */
static enum step append_members(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                                struct mr_builder *builders, int64_t row)
{
    enum step step = enter(decoder);
    int likely = 0;
    bool more = peek(decoder) != '}', rows = shape->type == NULL;
    if (step != GOOD)
        return step;
    if (!more) {
        decoder->at++;
        decoder->depth--;
    }
    while (more) {
        struct mr_slice key;
        int field = likely;
        if (!take_likely(decoder, shape, likely)) {
            if ((step = take_key(decoder, &key)) != GOOD)
                return step;
            field = mr_json_shape_find(shape, key.data, key.size, likely);
        }
        if (field < 0) {
            step = skip_value(decoder);
        } else {
            likely = field + 1;
            if (rows)
                decoder->column = shape->keys[field].name;
            if (builders[field].length > row)
                mr_builder_truncate(&builders[field], row);
            step = append_value(decoder, shape->shapes[field], &builders[field],
                                shape->keys[field].nullable);
        }
        if (step == GOOD)
            step = next_member(decoder, '}', &more);
        if (step != GOOD)
            return step;
    }
    for (int i = 0; i < shape->nfields; i++) {
        if (builders[i].length > row)
            continue;
        if (rows)
            decoder->column = shape->keys[i].name;
        if ((step = append_null(decoder, &builders[i], shape->keys[i].nullable)) != GOOD)
            return step;
    }
    return GOOD;
}

static enum step append_list(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                             struct mr_builder *to)
{
    enum step step = enter(decoder);
    bool more = peek(decoder) != ']';
    if (step != GOOD)
        return step;
    if (!more) {
        decoder->at++;
        decoder->depth--;
    }
    while (more) {
        step = append_value(decoder, shape->shapes[0], &to->children[0], shape->keys[0].nullable);
        if (step == GOOD)
            step = next_member(decoder, ']', &more);
        if (step != GOOD)
            return step;
    }
    return failed(decoder, mr_builder_list(to, decoder->err));
}

/* Are the keys from `from` on all different? Keys are looked at as bytes of any layout. */
static enum step check_keys(struct mr_json_decoder *decoder, const struct mr_builder *keys,
                            int64_t from, bool *twice)
{
    int64_t n = keys->length - from;
    size_t size = 8;
    *twice = false;
    if (n < 2)
        return GOOD;
    while (size < (size_t)n * 2)
        size *= 2;
    int64_t *slots = mr_calloc(size, sizeof *slots);
    if (!slots)
        return failed(decoder, mr_error_nomem(decoder->err));
    const int32_t *offsets = (const int32_t *)(const void *)keys->values->data;
    bool bytes = keys->layout == MR_LAYOUT_BYTES;
    for (int64_t i = from; i < keys->length && !*twice; i++) {
        const uint8_t *key =
            bytes ? keys->data->data + offsets[i] : keys->values->data + i * keys->width;
        size_t length = bytes ? (size_t)(offsets[i + 1] - offsets[i]) : (size_t)keys->width;
        size_t at = mr_hash64(key, length) & (size - 1);
        for (; slots[at] != 0 && !*twice; at = (at + 1) & (size - 1)) {
            int64_t other = slots[at] - 1;
            const uint8_t *with = bytes ? keys->data->data + offsets[other]
                                        : keys->values->data + other * keys->width;
            size_t other_length = bytes ? (size_t)(offsets[other + 1] - offsets[other]) : length;
            *twice = other_length == length && memcmp(key, with, length) == 0;
        }
        slots[at] = i + 1;
    }
    mr_free(slots);
    return GOOD;
}

static enum step append_map_key(struct mr_json_decoder *decoder, struct mr_builder *to)
{
    struct mr_slice key;
    enum mr_text_fault fault;
    enum step step = take_key(decoder, &key);
    if (step != GOOD)
        return step;
    if (to->type->id == MR_TYPE_STRING)
        return failed(decoder, mr_builder_bytes(to, key.data, key.size, decoder->err));
    if (mr_type_is_nested(to->type) || to->type->id == MR_TYPE_JSON)
        fault = MR_TEXT_FORM;
    else if ((step = failed(decoder, mr_text_decode(to, key, decoder->tz, &fault, decoder->err))) !=
             GOOD)
        return step;
    if (fault == MR_TEXT_GOOD)
        return GOOD;
    fault_of(decoder, fault, to->type, key);
    return BROKEN; /* an entry without a key cannot be kept */
}

static enum step append_map(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                            struct mr_builder *to)
{
    enum step step = enter(decoder);
    struct mr_builder *entries = &to->children[0];
    int64_t from = entries->length;
    bool more = peek(decoder) != '}', twice = false;
    if (step != GOOD)
        return step;
    if (!more) {
        decoder->at++;
        decoder->depth--;
    }
    while (more) {
        step = append_map_key(decoder, &entries->children[0]);
        if (step == GOOD)
            step = append_value(decoder, shape->shapes[0], &entries->children[1],
                                shape->keys[0].nullable);
        if (step == GOOD)
            step = failed(decoder, mr_builder_struct(entries, decoder->err));
        if (step == GOOD)
            step = next_member(decoder, '}', &more);
        if (step != GOOD)
            return step;
    }
    if ((step = check_keys(decoder, &entries->children[0], from, &twice)) != GOOD)
        return step;
    if (!twice)
        return failed(decoder, mr_builder_list(to, decoder->err));
    mr_builder_truncate(entries, from);
    mr_row_fault_set(decoder->fault, decoder->column, "a map has a key twice");
    return decoder->null_faults ? FAULTY : BROKEN;
}

/* A value that is not null; FAULTY when it is none of the type, passed over then. */
static enum step append_typed(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                              struct mr_builder *to, char c)
{
    switch (to->type->id) {
    case MR_TYPE_STRING:
        return c == '"' ? append_string(decoder, to) : append_document(decoder, to);
    case MR_TYPE_JSON:
        return append_document(decoder, to);
    case MR_TYPE_STRUCT:
        if (c != '{')
            break;
        enum step step = append_members(decoder, shape, to->children, to->length);
        return step == GOOD ? failed(decoder, mr_builder_struct(to, decoder->err)) : step;
    case MR_TYPE_LIST:
        if (c == '[')
            return append_list(decoder, shape, to);
        break;
    case MR_TYPE_MAP:
        if (c == '{')
            return append_map(decoder, shape, to);
        break;
    case MR_TYPE_BOOL:
        if (c == 't' || c == 'f')
            return append_bool(decoder, to);
        break;
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
        if (c == '-' || is_digit(c))
            return append_text_number(decoder, to);
        break;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
    case MR_TYPE_DECIMAL:
    case MR_TYPE_TIMESTAMP:
        if (c == '-' || is_digit(c))
            return append_text_number(decoder, to);
        if (c == '"')
            return append_string(decoder, to);
        break;
    case MR_TYPE_NULL:
        break;
    default:
        if (c == '"')
            return append_string(decoder, to);
    }
    return mismatch(decoder, to->type);
}

static enum step append_value(struct mr_json_decoder *decoder, const struct mr_json_shape *shape,
                              struct mr_builder *to, bool nullable)
{
    char c = peek(decoder);
    enum step step;
    if (c == 'n') {
        if (!is_word(token(decoder), "null", 4))
            return broken(decoder, "no JSON value");
        decoder->at++;
        return append_null(decoder, to, nullable);
    }
    step = append_typed(decoder, shape, to, c);
    return step == FAULTY ? append_null(decoder, to, nullable) : step;
}

static void begin(struct mr_json_decoder *decoder, size_t to, bool null_faults,
                  struct mr_row_fault *fault, struct mr_error *err)
{
    fault->found = false;
    decoder->limit = (uint32_t)to;
    decoder->depth = 0;
    decoder->null_faults = null_faults;
    decoder->column = NULL;
    decoder->fault = fault;
    decoder->status = MR_OK;
    decoder->err = err;
}

enum mr_status mr_json_decode(struct mr_json_decoder *decoder, size_t from, size_t to,
                              bool null_faults, struct mr_rows *rows, bool *blank,
                              struct mr_row_fault *fault, struct mr_error *err)
{
    begin(decoder, to, null_faults, fault, err);
    while (decoder->at < decoder->end && *decoder->at < from)
        decoder->at++;
    char c = peek(decoder);
    *blank = c == '\0' && (decoder->at == decoder->end || *decoder->at >= to);
    if (*blank)
        return MR_OK;
    enum step step;
    if (c == '{') {
        step = append_members(decoder, decoder->shape, rows->builders, rows->count);
    } else {
        step = skip_value(decoder);
        mr_row_fault_set(fault, NULL, "an object is expected");
        step = step == GOOD ? BROKEN : step;
    }
    if (step == GOOD && decoder->at < decoder->end && *decoder->at < to)
        step = broken(decoder, "text behind the object");
    if (step == GOOD) {
        rows->count++;
        return MR_OK;
    }
    mr_rows_rollback(rows);
    return decoder->status;
}

enum mr_status mr_json_decode_value(struct mr_json_decoder *decoder, struct mr_slice text,
                                    bool null_faults, struct mr_builder *to, bool *done,
                                    struct mr_row_fault *fault, struct mr_error *err)
{
    const char *reason;
    int64_t length = to->length;
    *done = false;
    MR_TRY(mr_json_load(decoder, text.data, text.size, &reason, err));
    if (reason) {
        mr_row_fault_set(fault, NULL, "%s", reason);
        return MR_OK;
    }
    struct mr_row_fault own;
    begin(decoder, text.size, null_faults, &own, err);
    enum step step = append_value(decoder, decoder->shape->shapes[0], to, true);
    if (step == GOOD && decoder->at < decoder->end)
        step = broken(decoder, "text behind the value");
    *done = step == GOOD;
    if (step != GOOD)
        mr_builder_truncate(to, length);
    if (own.found)
        mr_row_fault_set(fault, NULL, "%s", own.reason);
    return decoder->status;
}
