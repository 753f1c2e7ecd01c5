/*
 * path.c - the path of a file action, from the URI in the log to the name of an object.
 *
 * A writer first escapes a partition directory as Hive does and then encodes the whole path as a
 * URI, so a ':' in a value is on the disk as "%3A" and in the log as "%253A": the log's text is
 * decoded exactly once. What has no valid escape behind its '%' stays as it is, since some writers
 * do not encode at all.
 */
#include "connect/delta/private.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t decode(char *out, const char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        int high = i + 2 < size && text[i] == '%' ? hex(text[i + 1]) : -1;
        int low = high >= 0 ? hex(text[i + 2]) : -1;
        /* an escaped NUL would cut the name short: it is kept as written */
        if (low >= 0 && (high | low) != 0) {
            out[at++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[at++] = text[i];
        }
    }
    return at;
}

/* Bytes of "scheme:" at the start, 0 = none. A single letter is no scheme. */
static size_t scheme_size(const char *text, size_t size)
{
    size_t i = 0;
    while (i < size && ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
                        (i > 0 && ((text[i] >= '0' && text[i] <= '9') || text[i] == '+' ||
                                   text[i] == '-' || text[i] == '.'))))
        i++;
    return i > 1 && i + 1 < size && text[i] == ':' && text[i + 1] == '/' ? i + 1 : 0;
}

bool delta_path_is_absolute(const char *path)
{
    return path[0] == '/' || scheme_size(path, strlen(path)) > 0;
}

/* "scheme://authority" of the table. */
static size_t origin_size(const char *url)
{
    const char *authority = url ? strstr(url, "://") : NULL;
    return authority ? 3 + (size_t)(authority - url) + strcspn(authority + 3, "/") : 0;
}

const char *delta_path_decode(struct mr_arena *arena, struct mr_slice raw, const char *table_url)
{
    size_t scheme = scheme_size(raw.data, raw.size);
    bool plain = memchr(raw.data, '%', raw.size) == NULL;
    if (!scheme && plain && (raw.size == 0 || raw.data[0] != '/'))
        return mr_arena_strndup(arena, raw.data, raw.size);
    size_t origin = origin_size(table_url);
    char *out = mr_arena_alloc(arena, raw.size + origin + 16);
    if (!out)
        return NULL;
    size_t at = 0;
    size_t from = 0;
    if (scheme) { /* "file:/x" has no authority; s3a is s3 */
        bool s3a = scheme == 4 && strncmp(raw.data, "s3a:", 4) == 0;
        at = s3a ? 3 : scheme;
        memcpy(out, s3a ? "s3:" : raw.data, at);
        from = scheme;
        if (from + 1 < raw.size && raw.data[from + 1] == '/')
            from += 2;
        memcpy(out + at, "//", 2);
        at += 2;
    } else if (raw.data[0] == '/') {
        memcpy(out, origin ? table_url : "file://", origin ? origin : 7);
        at = origin ? origin : 7;
    }
    at += decode(out + at, raw.data + from, raw.size - from);
    out[at] = '\0';
    return out;
}
