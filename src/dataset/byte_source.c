/*
 * byte_source.c - reads of an object, and a window ahead of those who read it from front to back.
 *
 * Parquet readers know what they want and ask for it with read_many: that goes through as it is.
 * Readers of text ask for the next piece, and over a network each piece would cost a round trip. So
 * a read that begins where the last one ended fills a window: twice as large each time up to 8 MB,
 * as parts of 2 MB that are in flight together. A read elsewhere forgets the window. A directory
 * of this machine has the kernel's read-ahead; there the window only gathers tiny reads.
 *
 * Memory short of a window is no reason to fail: the read goes through without one.
 *
 * The object is looked at once when it is opened: a file that was replaced since the listing would
 * give half of its old rows and half of its new ones. Between opening and the last read the length
 * still gives a cut file away.
 */
#include "dataset/byte_source.h"

#define PART          ((size_t)2 << 20)
#define WINDOW_FIRST  ((size_t)256 << 10)
#define WINDOW_REMOTE ((size_t)8 << 20)
#define WINDOW_LOCAL  ((size_t)64 << 10)
#define PARTS_MOST    16

struct object_source {
    struct mr_byte_source source; /* first: this is what callers hold */
    const struct mr_store *store;
    void *handle;
    const char *path;
    struct mr_runtime *runtime;
    int64_t next;    /* behind the last read: a read from here goes on */
    size_t window;   /* bytes to read ahead the next time */
    size_t most;     /* limit of `window` */
    char *ahead;     /* or NULL */
    size_t capacity; /* of it, charged */
    int64_t begin;   /* bytes [begin, end) are in `ahead` */
    int64_t end;
};

static enum mr_status was_cut(const struct object_source *object, int64_t offset,
                              struct mr_error *err)
{
    return mr_error_data(err, MR_SOURCE,
                         "%s: ends before byte %lld, though it has %lld bytes: it was changed "
                         "while it was read",
                         object->source.name, (long long)offset, (long long)object->source.size);
}

static enum mr_status check_range(const struct object_source *object, int64_t offset, size_t size,
                                  struct mr_error *err)
{
    if (offset >= 0 && offset <= object->source.size &&
        size <= (uint64_t)(object->source.size - offset))
        return MR_OK;
    return mr_error_data(
        err, MR_SOURCE,
        "%s: bytes %lld to %llu are wanted, but it has only %lld: the file was cut "
        "or is damaged",
        object->source.name, (long long)offset,
        (unsigned long long)offset + (unsigned long long)size, (long long)object->source.size);
}

/* Straight from the store; large ones in parts. */
static enum mr_status fetch(struct object_source *object, int64_t offset, char *out, size_t size,
                            struct mr_error *err)
{
    while (size > 0) {
        struct mr_store_read parts[PARTS_MOST];
        int count = 0;
        for (; count < PARTS_MOST && size > 0; count++) {
            size_t part = size < PART + PART / 2 ? size : PART;
            parts[count] = (struct mr_store_read){.offset = offset, .size = part, .out = out};
            offset += (int64_t)part;
            out += part;
            size -= part;
        }
        MR_TRY(object->store->read_many(object->handle, object->path, parts, count, err));
        for (int i = 0; i < count; i++) {
            mr_count(object->runtime, MR_COUNT_BYTES_READ, (int64_t)parts[i].got);
            if (parts[i].got < parts[i].size)
                return was_cut(object, parts[i].offset + (int64_t)parts[i].size, err);
        }
    }
    return MR_OK;
}

/* --- the window --- */

static void forget_window(struct object_source *object)
{
    if (object->ahead != NULL)
        mr_memory_credit(object->runtime->memory, (int64_t)object->capacity);
    mr_free(object->ahead);
    object->ahead = NULL;
    object->begin = object->end = 0;
}

static bool make_window(struct object_source *object, size_t size)
{
    if (object->ahead != NULL && object->capacity >= size)
        return true;
    forget_window(object);
    /* it must not take what the rows will need */
    if (mr_memory_available(object->runtime->memory) < 8 * (int64_t)size ||
        mr_memory_charge(object->runtime->memory, (int64_t)size, NULL) != MR_OK)
        return false;
    object->ahead = mr_alloc(size);
    object->capacity = size;
    if (object->ahead == NULL)
        mr_memory_credit(object->runtime->memory, (int64_t)size);
    return object->ahead != NULL;
}

/* What the window has of the beginning of a read. */
static size_t from_window(struct object_source *object, int64_t offset, char *out, size_t size)
{
    if (object->ahead == NULL || offset < object->begin || offset >= object->end)
        return 0;
    size_t there = (size_t)(object->end - offset);
    if (there > size)
        there = size;
    memcpy(out, object->ahead + (offset - object->begin), there);
    return there;
}

/* The next bytes of somebody who reads on. */
static enum mr_status read_on(struct object_source *object, int64_t offset, char *out, size_t size,
                              struct mr_error *err)
{
    size_t left = (size_t)(object->source.size - offset);
    while (object->window < object->most && object->window < 2 * size)
        object->window *= 2;
    size_t window = object->window < left ? object->window : left;
    if (size >= window || !make_window(object, window))
        return fetch(object, offset, out, size, err);
    object->begin = object->end = offset;
    MR_TRY(fetch(object, offset, object->ahead, window, err));
    object->end = offset + (int64_t)window;
    object->window = 2 * window < object->most ? 2 * window : object->most;
    memcpy(out, object->ahead, size);
    return MR_OK;
}

static enum mr_status source_read(struct mr_byte_source *source, int64_t offset, void *out,
                                  size_t size, struct mr_error *err)
{
    struct object_source *object = (struct object_source *)source;
    MR_TRY(check_range(object, offset, size, err));
    bool goes_on = offset == object->next;
    size_t there = from_window(object, offset, out, size);
    object->next = offset + (int64_t)size;
    if (there == size)
        return MR_OK;
    if (goes_on || there > 0)
        return read_on(object, offset + (int64_t)there, (char *)out + there, size - there, err);
    forget_window(object);
    object->window = WINDOW_FIRST < object->most ? WINDOW_FIRST : object->most;
    return fetch(object, offset, out, size, err);
}

/* --- several at once --- */

static enum mr_status source_read_many(struct mr_byte_source *source,
                                       const struct mr_byte_read *reads, int nreads,
                                       struct mr_error *err)
{
    struct object_source *object = (struct object_source *)source;
    for (int i = 0; i < nreads; i++)
        MR_TRY(check_range(object, reads[i].offset, reads[i].size, err));
    struct mr_store_read *asked = mr_calloc((size_t)nreads + 1, sizeof *asked);
    if (asked == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < nreads; i++)
        asked[i] = (struct mr_store_read){.offset = reads[i].offset,
                                          .size = reads[i].size,
                                          .out = reads[i].out};
    enum mr_status status =
        object->store->read_many(object->handle, object->path, asked, nreads, err);
    for (int i = 0; status == MR_OK && i < nreads; i++) {
        mr_count(object->runtime, MR_COUNT_BYTES_READ, (int64_t)asked[i].got);
        if (asked[i].got < asked[i].size)
            status = was_cut(object, asked[i].offset + (int64_t)asked[i].size, err);
    }
    mr_free(asked);
    return status;
}

/* --- open, close --- */

/* Listings of S3 know milliseconds, its headers seconds. */
static bool same_time(int64_t a, int64_t b)
{
    int64_t second = 1000000;
    return a == b || ((a % second == 0 || b % second == 0) && a / second == b / second) ||
           ((a % 1000 == 0 || b % 1000 == 0) && a / 1000 == b / 1000);
}

static enum mr_status look(struct object_source *object, const struct mr_object *known,
                           struct mr_error *err)
{
    struct mr_store_entry entry;
    bool exists;
    object->source.size = known->size;
    if (known->size >= 0 && known->modified_micros < 0)
        return MR_OK;
    MR_TRY(object->store->stat(object->handle, object->path, &entry, &exists, err));
    if (!exists)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "%s: there is no such file",
                            object->source.name);
    object->source.size = entry.size;
    if ((known->size < 0 || known->size == entry.size) &&
        (known->modified_micros < 0 || same_time(known->modified_micros, entry.modified_micros)))
        return MR_OK;
    mr_error_data(err, MR_SOURCE,
                  "%s: was changed after the run was planned (it had %lld bytes, now %lld)",
                  object->source.name, (long long)known->size, (long long)entry.size);
    mr_error_hint(err, "run again; files that are replaced in place cannot be read reliably");
    return MR_SOURCE;
}

enum mr_status mr_byte_source_open(const struct mr_store *store, void *handle,
                                   const struct mr_object *known, struct mr_runtime *runtime,
                                   struct mr_byte_source **out, struct mr_error *err)
{
    *out = NULL;
    struct object_source *object = mr_calloc(1, sizeof *object);
    if (object == NULL)
        return mr_error_nomem(err);
    *object = (struct object_source){
        .source = {.name = known->name ? known->name : known->path,
                   .read = source_read,
                   .read_many = source_read_many},
        .store = store,
        .handle = handle,
        .path = known->path,
        .runtime = runtime,
        .most = strcmp(store->scheme, "file") == 0 ? WINDOW_LOCAL : WINDOW_REMOTE,
    };
    object->window = WINDOW_FIRST < object->most ? WINDOW_FIRST : object->most;
    enum mr_status status = look(object, known, err);
    if (status != MR_OK) {
        mr_free(object);
        return status;
    }
    *out = &object->source;
    return MR_OK;
}

void mr_byte_source_close(struct mr_byte_source *source)
{
    struct object_source *object = (struct object_source *)source;
    if (object == NULL)
        return;
    forget_window(object);
    mr_free(object);
}
