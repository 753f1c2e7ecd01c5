/*
 * listing.c - which files a path stands for.
 *
 * The path is cut in two: a directory without pattern characters, on which the store is opened, and
 * the rest, a name or patterns. A pattern without braces that begins with letters bounds the listing
 * from both sides, since stores list in byte order: "2024-0*" of ten years reads one. Everything
 * found is kept, sorted as listed, so that splits and output files never depend on timing.
 *
 * Left out without a word: what the store hides (names that begin with . or _, without '=' in them),
 * empty files, and the markers that tools put where S3 has no directories.
 */
#include "connect/files/glob.h"
#include "connect/files/incremental.h"
#include "connect/files/read.h"

/* --- the place --- */

/* Of "s3://bucket/a" the slash behind the bucket; of a path the first one. NULL: there is none. */
static const char *first_slash(const char *url)
{
    const char *scheme = strstr(url, "://");
    return strchr(scheme ? scheme + 3 : url, '/');
}

/* The last slash before `end` that is not part of a scheme. */
static const char *last_slash(const char *text, const char *end)
{
    const char *first = first_slash(text);
    for (const char *at = end; first && at > first;)
        if (*--at == '/')
            return at;
    return NULL;
}

/* The directory in front of a slash of an URL; "/" stays. */
static const char *directory_of(const char *url, const char *slash, struct mr_arena *arena)
{
    return slash == url ? "/" : mr_arena_strndup(arena, url, (size_t)(slash - url));
}

static enum mr_status plain_place(const struct mr_location *location, struct mr_arena *arena,
                                  struct files_place *out, struct mr_error *err)
{
    const char *text_slash = last_slash(location->text, strchr(location->text, '\0'));
    const char *slash = last_slash(location->url, strchr(location->url, '\0'));
    if (slash == NULL || slash[1] == '\0') { /* a bucket, or the root of all */
        out->url = location->url;
        out->text = location->text;
        out->prefix = "";
        return MR_OK;
    }
    out->url = directory_of(location->url, slash, arena);
    out->prefix = slash + 1;
    out->text = text_slash && strcmp(text_slash + 1, out->prefix) == 0
                    ? mr_arena_strndup(arena, location->text, (size_t)(text_slash - location->text))
                    : "";
    if (text_slash == location->text)
        out->text = "/";
    return out->url && out->text ? MR_OK : mr_error_nomem(err);
}

enum mr_status files_find_place(const struct mr_location *location, struct mr_arena *arena,
                                struct files_place *out, struct mr_error *err)
{
    *out = (struct files_place){.prefix = ""};
    char *text = mr_arena_strdup(arena, location->text);
    if (text == NULL)
        return mr_error_nomem(err);
    for (size_t size = strlen(text); size > 1 && text[size - 1] == '/'; size--)
        text[size - 1] = '\0';
    struct mr_location trimmed = {location->store, location->url, text};
    const char *glob = files_glob_start(text);
    if (glob == NULL)
        return plain_place(&trimmed, arena, out, err);
    const char *slash = last_slash(text, glob);
    const char *tail = slash ? slash + 1 : text;
    size_t url_size = strlen(location->url), size = strlen(tail);
    if (size >= url_size || strcmp(location->url + url_size - size, tail) != 0 ||
        location->url[url_size - size - 1] != '/')
        return mr_error_config(err, "%s: the name of a bucket cannot be a pattern", text);
    out->url = directory_of(location->url, location->url + url_size - size - 1, arena);
    out->text = slash == text ? "/"
                : slash       ? mr_arena_strndup(arena, text, (size_t)(slash - text))
                              : "";
    if (out->url == NULL || out->text == NULL)
        return mr_error_nomem(err);
    return files_glob_expand(arena, tail, &out->patterns, &out->npatterns, err);
}

const char *files_name(const struct files_source *source, struct mr_arena *arena, const char *path)
{
    const char *text = source->place.text;
    const char *name = *text == '\0'            ? path
                       : strcmp(text, "/") == 0 ? mr_arena_printf(arena, "/%s", path)
                                                : mr_arena_printf(arena, "%s/%s", text, path);
    return name ? name : path;
}

/* --- the listing --- */

struct listing {
    struct files_source *source;
    const char *literal; /* every wanted path begins with it */
    size_t literal_size;
    bool done; /* behind the last wanted one */
    int capacity;
};

static bool is_wanted(const struct files_place *place, const char *path)
{
    for (int i = 0; i < place->npatterns; i++)
        if (files_glob_match(place->patterns[i], path))
            return true;
    return place->patterns == NULL;
}

static bool is_marker(const struct mr_store_entry *entry)
{
    static const char suffix[] = "_$folder$";
    size_t size = strlen(entry->path);
    return entry->size == 0 || (size > 0 && entry->path[size - 1] == '/') ||
           (size >= sizeof suffix - 1 &&
            strcmp(entry->path + size - (sizeof suffix - 1), suffix) == 0);
}

static enum mr_status add_entry(struct listing *listing, const struct mr_store_entry *entry,
                                bool known, struct mr_error *err)
{
    struct files_source *source = listing->source;
    if (source->nentries == INT32_MAX / 2)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "more than %d files", INT32_MAX / 2);
    if (source->nentries == listing->capacity) {
        int capacity = listing->capacity ? 2 * listing->capacity : 64;
        struct files_entry *more = mr_arena_alloc(source->arena, (size_t)capacity * sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        if (source->nentries > 0)
            memcpy(more, source->entries, (size_t)source->nentries * sizeof *more);
        source->entries = more;
        listing->capacity = capacity;
    }
    struct files_entry *added = &source->entries[source->nentries];
    *added = (struct files_entry){
        .path = mr_arena_strdup(source->arena, entry->path),
        .size = entry->size,
        .modified_micros = entry->modified_micros,
        .rows = -1,
        .skipped = known,
        .known = known,
    };
    if (added->path == NULL)
        return mr_error_nomem(err);
    MR_TRY(files_read_partitions(source, added, source->nentries > 0 ? added - 1 : NULL, err));
    source->nentries++;
    return MR_OK;
}

static enum mr_status found(void *context, const struct mr_store_entry *entry, struct mr_error *err)
{
    struct listing *listing = context;
    if (listing->literal_size > 0) {
        int order = strncmp(entry->path, listing->literal, listing->literal_size);
        listing->done = order > 0;
        if (order != 0)
            return listing->done ? MR_CANCELLED : MR_OK;
    }
    if (!is_wanted(&listing->source->place, entry->path) || is_marker(entry))
        return MR_OK;
    bool known = false, keep = true;
    if (listing->source->incremental != NULL)
        MR_TRY(files_incremental_see(listing->source, entry, &known, &keep, err));
    return keep ? add_entry(listing, entry, known, err) : MR_OK;
}

/* A text that is less than all that begin with `literal`, and greater than nearly all else before it. */
static enum mr_status just_before(const char *literal, size_t size, struct mr_arena *arena,
                                  const char **out, struct mr_error *err)
{
    *out = NULL;
    if (size == 0 || (unsigned char)literal[size - 1] <= 1)
        return MR_OK;
    char *text = mr_arena_printf(arena, "%.*s%c", (int)size - 1, literal, literal[size - 1] - 1);
    if (text == NULL)
        return mr_error_nomem(err);
    if ((unsigned char)text[size - 1] < 0x7F) /* only ASCII: what the store gets is UTF-8 */
        *out = text;
    return MR_OK;
}

static enum mr_status nothing_found(const struct files_source *source, struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "%s: there are no files", source->location.text);
    mr_error_hint(err, "names that begin with . or _ are not read; give \"schema\" where nothing "
                       "to read is to be an empty frame");
    return MR_SOURCE;
}

/* --- a table is more than its files --- */

static enum mr_status one_is_enough(void *context, const struct mr_store_entry *entry,
                                    struct mr_error *err)
{
    (void)entry;
    (void)err;
    *(bool *)context = true;
    return MR_CANCELLED;
}

/* The files of a Delta table hold rows that were deleted, too. */
static enum mr_status refuse_table(const struct files_source *source, void *handle,
                                   struct mr_error *err)
{
    const char *prefix = source->place.prefix;
    if (source->place.patterns != NULL ||
        (source->nentries == 1 && strcmp(source->entries[0].path, prefix) == 0))
        return MR_OK;
    bool found = false;
    const char *log = mr_arena_printf(source->arena, "%s%s_delta_log", prefix, *prefix ? "/" : "");
    if (log == NULL)
        return mr_error_nomem(err);
    enum mr_status status =
        source->location.store->list(handle, log, NULL, false, one_is_enough, &found, err);
    if (!found)
        return status;
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "%s is a Delta table", source->location.text);
    mr_error_hint(err,
                  "read it with fromDeltaLake: its files hold deleted rows too; a pattern of "
                  "files (%s/*.parquet) reads them as they are",
                  source->location.text);
    return MR_SOURCE;
}

enum mr_status files_list(struct files_source *source, struct mr_runtime *runtime,
                          struct mr_error *err)
{
    const struct files_place *place = &source->place;
    const struct mr_store *store = source->location.store;
    struct listing listing = {.source = source};
    const char *after = NULL;
    if (place->patterns != NULL) {
        listing.literal = place->patterns[0];
        listing.literal_size = files_glob_literal(place->patterns, place->npatterns);
        MR_TRY(just_before(listing.literal, listing.literal_size, source->arena, &after, err));
    }
    void *handle;
    MR_TRY(store->open(place->url, source->options, runtime, &handle, err));
    enum mr_status status = store->list(handle, place->prefix, after, false, found, &listing, err);
    if (status == MR_CANCELLED && listing.done)
        status = MR_OK;
    if (status == MR_OK)
        status = refuse_table(source, handle, err);
    store->close(handle);
    MR_TRY(status);
    if (source->nentries == 0 && source->given == NULL)
        return nothing_found(source, err);
    return MR_OK;
}
