/*
 * list.c - ListObjectsV2, as the contract wants listings.
 *
 * S3 lists keys, which have no directories: "a" as a prefix would find "a.b" too. So the listing is
 * of "a/", and whether there is an object "a" itself is asked by HEAD before; if so, it is all. Keys come
 * url-encoded (encoding-type=url), because a key may hold what XML cannot.
 *
 * Amazon lists in byte order, page by page, and entries are handed on as they come. Some compatible
 * services walk directories and give "a/x" before "a.b"; from endpoints other than Amazon's a listing
 * is gathered, sorted if need be, and handed on at its end. There `after` is only trusted within one
 * directory: it is sent when it and the prefix have the same one, else it is applied here.
 */
#include "base/text.h"
#include "base/time.h"
#include "store/s3/credentials_private.h"
#include "store/s3/s3_private.h"
#include "store/s3/xml.h"

#include <stdlib.h>

struct found {
    const char *path;
    int64_t size;
    int64_t modified_micros;
};

struct listing {
    struct s3 *s3;
    const char *prefix; /* of paths: "" or ending in '/' */
    const char *after;  /* NULL */
    bool hidden;
    bool gather; /* all pages before anything is handed on */
    enum mr_status (*each)(void *context, const struct mr_store_entry *entry, struct mr_error *err);
    void *context;
    /* Of a page, or of all. */
    struct mr_arena arena;
    struct found *found;
    size_t count;
    size_t capacity;
    /* Of the page being read. */
    struct found at;
    bool at_key;
    bool truncated;
    struct mr_bytes token;
    char *last; /* path handed on last: the order is checked */
};

static bool is_hidden(const char *path)
{
    for (const char *part = path; part;) {
        const char *end = strchr(part, '/');
        size_t size = end ? (size_t)(end - part) : strlen(part);
        if (part[0] == '.' || (part[0] == '_' && !memchr(part, '=', size)))
            return true;
        part = end ? end + 1 : NULL;
    }
    return false;
}

/* --- a page --- */

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

char *s3_url_decode(struct mr_arena *arena, struct mr_slice text)
{
    char *out = mr_arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; out && i < text.size; i++) {
        char c = text.data[i];
        if (c == '%' && i + 2 < text.size && digit(text.data[i + 1]) >= 0 &&
            digit(text.data[i + 2]) >= 0) {
            c = (char)(digit(text.data[i + 1]) * 16 + digit(text.data[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        out[size++] = c;
    }
    if (out)
        out[size] = '\0';
    return out;
}

static enum mr_status keep(struct listing *listing, struct mr_error *err)
{
    if (listing->count == listing->capacity) {
        size_t wanted = listing->capacity ? listing->capacity * 2 : 1024;
        struct found *more = mr_arena_alloc(&listing->arena, wanted * sizeof *more);
        if (!more)
            return mr_error_nomem(err);
        if (listing->count)
            memcpy(more, listing->found, listing->count * sizeof *more);
        listing->found = more;
        listing->capacity = wanted;
    }
    listing->found[listing->count++] = listing->at;
    return MR_OK;
}

static enum mr_status take_key(struct listing *listing, struct mr_slice text, struct mr_error *err)
{
    const char *root = listing->s3->config.prefix;
    size_t size = strlen(root);
    char *key = s3_url_decode(&listing->arena, text);
    if (!key)
        return mr_error_nomem(err);
    listing->at = (struct found){0};
    listing->at_key = strncmp(key, root, size) == 0 && strlen(key) == strlen(key + size) + size;
    listing->at.path = key + size;
    return MR_OK;
}

/* "Objects" whose name ends in a slash stand for directories; they are not objects to us. */
static bool is_wanted(const struct listing *listing)
{
    const char *path = listing->at.path;
    size_t size = strlen(path), below = strlen(listing->prefix);
    if (!listing->at_key || size == 0 || path[size - 1] == '/' ||
        strncmp(path, listing->prefix, below) != 0)
        return false;
    if (listing->after && strcmp(path, listing->after) <= 0)
        return false;
    return listing->hidden || !is_hidden(path + below);
}

static enum mr_status take_element(void *context, const char *parent, const char *name,
                                   struct mr_slice text, struct mr_error *err)
{
    struct listing *listing = context;
    if (strcmp(parent, "Contents") == 0) {
        char copy[64];
        if (strcmp(name, "Key") == 0)
            return take_key(listing, text, err);
        if (strcmp(name, "Size") == 0 && !mr_text_to_int64(text, true, &listing->at.size))
            return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "a listing has a size of '%.*s'",
                                text.size < 40 ? (int)text.size : 40, text.data);
        if (strcmp(name, "LastModified") == 0 && text.size < sizeof copy) {
            memcpy(copy, text.data, text.size);
            copy[text.size] = '\0';
            if (!s3_time_parse(copy, &listing->at.modified_micros))
                listing->at.modified_micros = 0;
        }
    } else if (strcmp(name, "Contents") == 0) {
        if (is_wanted(listing))
            return keep(listing, err);
    } else if (strcmp(name, "IsTruncated") == 0) {
        listing->truncated = text.size == 4 && memcmp(text.data, "true", 4) == 0;
    } else if (strcmp(name, "NextContinuationToken") == 0) {
        mr_bytes_clear(&listing->token);
        mr_bytes_append(&listing->token, text.data, text.size);
    }
    return MR_OK;
}

/* --- pages --- */

static bool same_directory(const char *prefix, const char *after)
{
    size_t size = strlen(prefix);
    return strncmp(prefix, after, size) == 0 && !strchr(after + size, '/');
}

static enum mr_status ask(struct listing *listing, struct s3_flight **out, struct mr_error *err)
{
    struct s3 *s3 = listing->s3;
    MR_TRY(s3_flight_new(s3, out, err));
    struct s3_flight *flight = *out;
    flight->call.method = "GET";
    flight->call.timeout_micros = 120000000;
    s3_flight_query(flight, "list-type", "2");
    s3_flight_query(flight, "encoding-type", "url");
    const char *prefix = s3_flight_key(flight, listing->prefix);
    if (!prefix)
        return mr_error_nomem(err);
    if (*prefix)
        s3_flight_query(flight, "prefix", prefix);
    if (listing->token.size > 0) {
        const char *token = mr_arena_strdup(&flight->arena, listing->token.data);
        if (!token)
            return mr_error_nomem(err);
        s3_flight_query(flight, "continuation-token", token);
    } else if (listing->after && strcmp(listing->after, listing->prefix) > 0 &&
               (!listing->gather || same_directory(listing->prefix, listing->after))) {
        const char *after = s3_flight_key(flight, listing->after);
        if (!after)
            return mr_error_nomem(err);
        s3_flight_query(flight, "start-after", after);
    }
    s3_flight_start(flight);
    return MR_OK;
}

static enum mr_status take_page(struct listing *listing, struct s3_flight *flight,
                                struct mr_error *err)
{
    const struct s3_xml reader = {take_element, listing};
    MR_TRY(s3_flight_wait(flight, err));
    if (!s3_flight_ok(flight))
        return s3_flight_error(flight, "list", err);
    listing->truncated = false;
    mr_bytes_clear(&listing->token);
    MR_TRY(s3_xml_read(s3_flight_body(flight), &reader, err));
    MR_TRY(mr_bytes_status(&listing->token, err));
    if (listing->truncated && listing->token.size == 0)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                            "the listing of s3://%s says that there is more, and not where",
                            listing->s3->config.bucket);
    return MR_OK;
}

/* --- handing on --- */

static int compare_found(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

static bool is_sorted(const struct listing *listing)
{
    for (size_t i = 1; i < listing->count; i++)
        if (strcmp(listing->found[i - 1].path, listing->found[i].path) >= 0)
            return false;
    return true;
}

static enum mr_status check_order(struct listing *listing, struct mr_error *err)
{
    if (listing->gather) {
        if (!is_sorted(listing))
            qsort(listing->found, listing->count, sizeof *listing->found, compare_found);
        return MR_OK;
    }
    bool good = is_sorted(listing) && (!listing->last || listing->count == 0 ||
                                       strcmp(listing->last, listing->found[0].path) < 0);
    if (!good) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "s3://%s lists its objects out of order",
                     listing->s3->config.bucket);
        mr_error_hint(err, "directory buckets (S3 Express One Zone) are not supported");
        return MR_SOURCE;
    }
    mr_free(listing->last);
    listing->last = NULL;
    if (listing->count > 0) {
        listing->last = mr_strdup(listing->found[listing->count - 1].path);
        return listing->last ? MR_OK : mr_error_nomem(err);
    }
    return MR_OK;
}

static enum mr_status hand_on(struct listing *listing, struct mr_error *err)
{
    MR_TRY(check_order(listing, err));
    const char *before = NULL;
    for (size_t i = 0; i < listing->count; i++) {
        const struct found *found = &listing->found[i];
        struct mr_store_entry entry = {found->path, found->size, found->modified_micros};
        if (before && strcmp(before, found->path) == 0)
            continue; /* a page boundary moved while we listed */
        before = found->path;
        MR_TRY(listing->each(listing->context, &entry, err));
    }
    mr_arena_reset(&listing->arena);
    listing->found = NULL;
    listing->count = listing->capacity = 0;
    return MR_OK;
}

static enum mr_status list_pages(struct listing *listing, struct mr_error *err)
{
    do {
        struct s3_flight *flight = NULL;
        enum mr_status status = ask(listing, &flight, err);
        if (status == MR_OK)
            status = take_page(listing, flight, err);
        s3_flight_free(flight);
        MR_TRY(status);
        if (!listing->gather)
            MR_TRY(hand_on(listing, err));
    } while (listing->truncated);
    return listing->gather ? hand_on(listing, err) : MR_OK;
}

/* The object whose path is the prefix itself. */
static enum mr_status list_itself(struct listing *listing, const char *path, bool *exists,
                                  struct mr_error *err)
{
    struct mr_store_entry entry;
    enum mr_status status = s3_stat(listing->s3, path, &entry, exists, err);
    if (status == MR_CREDENTIALS) /* one may list without being allowed to read */
        return MR_OK;
    MR_TRY(status);
    if (*exists && (!listing->after || strcmp(path, listing->after) > 0))
        return listing->each(listing->context, &entry, err);
    return MR_OK;
}

enum mr_status s3_list(void *handle, const char *prefix, const char *after, bool hidden,
                       enum mr_status (*each)(void *context, const struct mr_store_entry *entry,
                                              struct mr_error *err),
                       void *context, struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct listing listing = {
        .s3 = s3, .after = after, .hidden = hidden, .each = each, .context = context};
    size_t size = strlen(prefix);
    bool itself = false;
    char *directory = NULL;
    enum mr_status status = MR_OK;
    MR_TRY(s3_background_settle(s3, 0, err));
    mr_arena_init(&listing.arena, s3->runtime->memory);
    mr_bytes_init(&listing.token, 1 << 16);
    listing.gather = !s3->config.aws;
    listing.prefix = prefix;
    if (size > 0 && prefix[size - 1] != '/') {
        directory = mr_alloc(size + 2);
        if (!directory)
            MR_TRY_OUT(mr_error_nomem(err));
        memcpy(directory, prefix, size);
        memcpy(directory + size, "/", 2);
        listing.prefix = directory;
        MR_TRY_OUT(list_itself(&listing, prefix, &itself, err));
    }
    if (!itself)
        MR_TRY_OUT(list_pages(&listing, err));
out:
    mr_free(directory);
    mr_free(listing.last);
    mr_bytes_reset(&listing.token);
    mr_arena_reset(&listing.arena);
    return status;
}
