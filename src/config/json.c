/*
 * json.c - a JSON document as a tree with positions.
 *
 * jansson is the judge of the grammar, of UTF-8 and of escapes, but its values do not know where they came from, it
 * forgets how a number was written, and it drops a key that is written twice. So the text is read twice, each time
 * once from left to right: jansson checks it; then a scan over text that is known to be correct builds our tree, and
 * needs no error paths. A string without escapes (nearly all of them) is copied from the text; one with escapes is
 * decoded by jansson. The alternative, looking up positions in jansson's tree by pointer, walks the text again for
 * every error and still loses the duplicates.
 *
 * Nesting is limited before jansson sees the text, since both readers recurse. Columns count bytes from 1, as
 * compilers do.
 */
#include "config/json.h"

#include "base/map.h"
#include "base/text.h"
#include "config/context.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct scan {
    struct mr_config_context *context;
    const char *file;
    const char *at;
    const char *end;
    const char *line_start;
    int line;
};

static const char *const kind_names[] = {"null", "true or false", "a number",
                                         "text", "a list",        "an object"};

const char *mr_json_kind_name(enum mr_json_kind kind)
{
    return kind_names[kind];
}

struct mr_json *mr_json_member(const struct mr_json *object, const char *name)
{
    if (object == NULL || object->kind != MR_JSON_OBJECT)
        return NULL;
    for (struct mr_json *child = object->children; child != NULL; child = child->next)
        if (strcmp(child->name, name) == 0)
            return child;
    return NULL;
}

void mr_json_write(const struct mr_json *value, struct mr_bytes *out)
{
    if (value->kind == MR_JSON_STRING) {
        mr_bytes_json_string(out, value->text, strlen(value->text));
        return;
    }
    if (value->kind != MR_JSON_ARRAY && value->kind != MR_JSON_OBJECT) {
        mr_bytes_text(out, value->text);
        return;
    }
    bool object = value->kind == MR_JSON_OBJECT;
    mr_bytes_char(out, object ? '{' : '[');
    for (const struct mr_json *child = value->children; child != NULL; child = child->next) {
        if (child != value->children)
            mr_bytes_char(out, ',');
        if (object) {
            mr_bytes_json_string(out, child->name, strlen(child->name));
            mr_bytes_char(out, ':');
        }
        mr_json_write(child, out);
    }
    mr_bytes_char(out, object ? '}' : ']');
}

/* Line and column of a byte, for errors only. */
static struct mr_position position_of(const char *file, const char *text, size_t offset)
{
    struct mr_position at = {.file = file, .line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        at.column++;
        if (text[i] == '\n') {
            at.line++;
            at.column = 1;
        }
    }
    return at;
}

static struct mr_position here(const struct scan *scan)
{
    return (struct mr_position){.file = scan->file,
                                .line = scan->line,
                                .column = (int)(scan->at - scan->line_start) + 1};
}

static void skip_space(struct scan *scan)
{
    for (; scan->at < scan->end; scan->at++) {
        if (*scan->at == '\n') {
            scan->line++;
            scan->line_start = scan->at + 1;
        } else if (*scan->at != ' ' && *scan->at != '\t' && *scan->at != '\r') {
            return;
        }
    }
}

/* Moves behind a string token and gives its value. */
static const char *scan_string(struct scan *scan, bool *escaped)
{
    const char *start = scan->at++;
    *escaped = false;
    for (; *scan->at != '"'; scan->at++) {
        if (*scan->at == '\\') {
            *escaped = true;
            scan->at++;
        }
    }
    scan->at++;
    struct mr_arena *arena = scan->context->arena;
    if (!*escaped)
        return mr_arena_strndup(arena, start + 1, (size_t)(scan->at - start) - 2);
    json_t *decoded = json_loadb(start, (size_t)(scan->at - start), JSON_DECODE_ANY, NULL);
    if (decoded == NULL)
        return NULL;
    const char *text = mr_arena_strdup(arena, json_string_value(decoded));
    json_decref(decoded);
    return text;
}

static enum mr_status scan_value(struct scan *scan, struct mr_json **out);

/* Moves a second value of the same key out of the list and reports it. */
static enum mr_status drop_duplicates(struct scan *scan, struct mr_json *object)
{
    struct mr_map seen;
    mr_map_init(&seen, false);
    enum mr_status status = MR_OK;
    struct mr_json *last = NULL;
    for (struct mr_json *child = object->children; child != NULL; child = child->next) {
        const struct mr_json *first = mr_map_get(&seen, mr_slice_of(child->name));
        if (first == NULL) {
            MR_TRY_OUT(mr_map_put(&seen, mr_slice_of(child->name), child, NULL));
            last = child;
            continue;
        }
        last->next = child->next;
        object->count--;
        MR_TRY_OUT(mr_config_problem(scan->context, child->name_at,
                                     "\"%.80s\" is written twice in one object, first at %d:%d",
                                     child->name, first->name_at.line, first->name_at.column));
    }
out:
    mr_map_reset(&seen);
    return status;
}

static enum mr_status scan_children(struct scan *scan, struct mr_json *parent)
{
    bool object = parent->kind == MR_JSON_OBJECT;
    struct mr_json **link = &parent->children;
    scan->at++;
    for (;;) {
        skip_space(scan);
        if (*scan->at == ',') {
            scan->at++;
            continue;
        }
        if (*scan->at == '}' || *scan->at == ']')
            break;
        struct mr_position name_at = here(scan);
        const char *name = NULL;
        if (object) {
            bool escaped;
            name = scan_string(scan, &escaped);
            if (name == NULL)
                return MR_NOMEM;
            skip_space(scan);
            scan->at++; /* the colon */
            skip_space(scan);
        }
        MR_TRY(scan_value(scan, link));
        (*link)->name = name;
        (*link)->name_at = name_at;
        link = &(*link)->next;
        parent->count++;
    }
    scan->at++;
    return object && parent->count > 1 ? drop_duplicates(scan, parent) : MR_OK;
}

static enum mr_status scan_value(struct scan *scan, struct mr_json **out)
{
    struct mr_json *value = mr_arena_calloc(scan->context->arena, 1, sizeof(*value));
    if (value == NULL)
        return MR_NOMEM;
    *out = value;
    value->at = here(scan);
    if (*scan->at == '{' || *scan->at == '[') {
        value->kind = *scan->at == '{' ? MR_JSON_OBJECT : MR_JSON_ARRAY;
        return scan_children(scan, value);
    }
    if (*scan->at == '"') {
        value->kind = MR_JSON_STRING;
        value->text = scan_string(scan, &value->escaped);
    } else {
        const char *start = scan->at;
        while (scan->at < scan->end && strchr(" \t\r\n,]}", *scan->at) == NULL)
            scan->at++;
        value->kind = *start == 'n'                    ? MR_JSON_NULL
                      : *start == 't' || *start == 'f' ? MR_JSON_BOOL
                                                       : MR_JSON_NUMBER;
        value->text = mr_arena_strndup(scan->context->arena, start, (size_t)(scan->at - start));
    }
    return value->text != NULL ? MR_OK : MR_NOMEM;
}

/* Offset of the bracket that opens level MR_JSON_MAX_DEPTH + 1, or `size`. Strings are skipped. */
static size_t find_too_deep(const char *text, size_t size)
{
    int depth = 0;
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (inside) {
            if (c == '\\')
                i++;
            else if (c == '"' || c == '\n')
                inside = false;
        } else if (c == '"') {
            inside = true;
        } else if ((c == '{' || c == '[') && ++depth > MR_JSON_MAX_DEPTH) {
            return i;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return size;
}

/*
 * jansson says "expected X near 'token'" and stands behind the token: the token's length leads back to its start. Its
 * message quotes the text, so for secrets only the part in front of it is kept.
 */
static enum mr_status report_syntax(struct mr_config_context *context, const char *file,
                                    const char *text, const json_error_t *error, bool secret)
{
    char message[JSON_ERROR_TEXT_LENGTH];
    snprintf(message, sizeof(message), "%s", error->text);
    size_t offset = error->position > 0 ? (size_t)error->position : 0;
    char *near = strstr(message, " near '");
    if (near != NULL) {
        const char *token = near + strlen(" near '");
        size_t length = strlen(token);
        length -= length > 0; /* the closing quote */
        offset = offset >= length ? offset - length : 0;
        if (secret)
            *near = '\0';
    }
    return mr_config_problem(context, position_of(file, text, offset), "not valid JSON: %s",
                             message);
}

/* Reports what can be said before the grammar; true when the text may be parsed. */
static enum mr_status check_text(struct mr_config_context *context, const char *file,
                                 const char *text, size_t size, bool *good)
{
    struct mr_position top = {.file = file, .line = 1, .column = 1};
    *good = false;
    if (size > MR_JSON_MAX_BYTES)
        return mr_config_problem(context, top, "the file is larger than %zu MiB",
                                 MR_JSON_MAX_BYTES >> 20);
    if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return mr_config_problem(context, top, "the file is UTF-16; save it as UTF-8");
    if (size == 0)
        return mr_config_problem(context, top, "the file is empty");
    size_t valid = mr_utf8_valid_prefix(text, size);
    if (valid < size)
        return mr_config_problem(context, position_of(file, text, valid), "not UTF-8: byte 0x%02x",
                                 (unsigned char)text[valid]);
    size_t deep = find_too_deep(text, size);
    if (deep < size)
        return mr_config_problem(context, position_of(file, text, deep),
                                 "nested deeper than %d levels", MR_JSON_MAX_DEPTH);
    *good = true;
    return MR_OK;
}

enum mr_status mr_json_parse(struct mr_config_context *context, const char *file, const char *text,
                             size_t size, bool secret, struct mr_json **out)
{
    *out = NULL;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    bool good;
    MR_TRY(check_text(context, file, text, size, &good));
    if (!good)
        return MR_OK;
    json_error_t error;
    json_t *checked = json_loadb(text, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    if (checked == NULL && json_error_code(&error) == json_error_out_of_memory)
        return MR_NOMEM;
    if (checked == NULL)
        return report_syntax(context, file, text, &error, secret);
    json_decref(checked);
    struct scan scan = {.context = context,
                        .file = file,
                        .at = text,
                        .end = text + size,
                        .line_start = text,
                        .line = 1};
    skip_space(&scan);
    return scan_value(&scan, out);
}

/* The whole file on the heap, or an errno. */
static int read_file(const char *path, char **text, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return errno;
    struct stat info;
    int error = fstat(fileno(file), &info) != 0 ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_JSON_MAX_BYTES + 2);
    while (error == 0 && bytes.size <= MR_JSON_MAX_BYTES) {
        size_t room = MR_JSON_MAX_BYTES + 1 - bytes.size;
        room = room < 65536 ? room : 65536;
        char *into = mr_bytes_reserve(&bytes, room);
        if (into == NULL)
            error = ENOMEM;
        size_t got = into != NULL ? fread(into, 1, room, file) : 0;
        if (got == 0)
            break;
        bytes.size += got;
    }
    if (error == 0 && ferror(file))
        error = errno != 0 ? errno : EIO;
    fclose(file);
    if (error == 0)
        *text = mr_bytes_move(&bytes, size);
    mr_bytes_reset(&bytes);
    return error;
}

enum mr_status mr_json_parse_file(struct mr_config_context *context, const char *file,
                                  struct mr_position from, bool secret, struct mr_json **out)
{
    *out = NULL;
    char *text = NULL;
    size_t size = 0;
    int error = read_file(file, &text, &size);
    if (error == ENOMEM)
        return MR_NOMEM;
    if (error != 0)
        return mr_config_problem(context, from, "cannot read %s: %s", file, strerror(error));
    enum mr_status status =
        mr_json_parse(context, file, text != NULL ? text : "", size, secret, out);
    mr_free(text);
    return status;
}
