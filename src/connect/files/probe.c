/*
 * probe.c - asks the files what they hold: footers and headers of all of them, samples of some.
 *
 * Several threads, each with a handle of its own, because over a network a footer costs two round
 * trips and there may be a thousand files. Above the bound the files are taken at equal distances;
 * the others are checked against the schema when they are read. Which file's error is reported does
 * not depend on timing: the first in the order of the listing.
 *
 * The threads are not tasks of the engine, so their waiter is their own: it looks every tenth of a
 * second whether the run was told to stop, which only the thread that plans knows.
 */
#include "connect/files/read.h"

#include "base/thread.h"
#include "base/time.h"
#include "dataset/byte_source.h"

#define BINARY_MOST    1000 /* files with a footer or a header that are probed */
#define KNOWN_MOST     8    /* incremental: of those that earlier runs have read */
#define TEXT_MOST      32   /* files of which a sample is read */
#define REMOTE_THREADS 16
#define LOCAL_THREADS  4
#define LOOK_MICROS    100000

struct probing {
    struct files_source *source;
    struct files_probe *probes;
    int count;
    atomic_int next;
    atomic_int failed; /* the least number that failed; `count` = none */
    atomic_bool stop;
    atomic_int running;
    pthread_mutex_t lock; /* guards `err` and `status` */
    enum mr_status status;
    struct mr_error err;
};

struct prober {
    struct mr_waiter waiter; /* first */
    struct probing *probing;
    struct mr_runtime runtime;
    struct mr_arena arena; /* of this thread; its schemas are copied when all are done */
    struct mr_thread thread;
};

bool files_is_text(const struct mr_format *format)
{
    return strcmp(format->name, "json") == 0 || strcmp(format->name, "csv") == 0;
}

/* --- one file --- */

static enum mr_status probe_open(struct files_source *source, struct mr_byte_source *bytes,
                                 struct mr_runtime *runtime, struct mr_arena *arena,
                                 struct mr_file_info *info, struct mr_error *err)
{
    struct mr_format_read read = {
        .source = bytes,
        .options = source->options,
        .on_error = source->on_error,
        .tz = source->tz,
        .runtime = runtime,
    };
    return source->format->probe(&read, arena, info, err);
}

static enum mr_status probe_one(struct files_source *source, void *handle,
                                struct files_probe *probe, struct mr_runtime *runtime,
                                struct mr_arena *arena, struct mr_error *err)
{
    const struct files_entry *entry = &source->entries[probe->entry];
    struct mr_object object = {
        .path = entry->path,
        .name = files_name(source, arena, entry->path),
        .size = entry->size,
        .modified_micros = -1,
    };
    struct mr_byte_source *bytes;
    MR_TRY(mr_byte_source_open(source->location.store, handle, &object, runtime, &bytes, err));
    enum mr_status status = probe_open(source, bytes, runtime, arena, &probe->info, err);
    mr_byte_source_close(bytes);
    return status;
}

/* --- threads --- */

static enum mr_status prober_wait(struct mr_waiter *waiter, int fd, int events,
                                  int64_t deadline_micros, enum mr_wait_cause cause,
                                  bool *timed_out, struct mr_error *err)
{
    struct prober *prober = (struct prober *)waiter;
    struct mr_waiter plain = mr_waiter_plain();
    for (;;) {
        if (atomic_load(&prober->probing->stop))
            return mr_error_cancelled(err);
        int64_t look = mr_clock_monotonic_micros() + LOOK_MICROS;
        bool late = deadline_micros <= look, passed = false;
        MR_TRY(mr_wait(&plain, fd, events, late ? deadline_micros : look, cause, &passed, err));
        if (timed_out != NULL)
            *timed_out = passed;
        if (!passed || late)
            return MR_OK;
    }
}

static bool prober_cancelled(struct mr_waiter *waiter)
{
    return atomic_load(&((struct prober *)waiter)->probing->stop);
}

static void note_failure(struct probing *probing, int number, enum mr_status status,
                         const struct mr_error *err)
{
    pthread_mutex_lock(&probing->lock);
    if (number < atomic_load(&probing->failed)) {
        atomic_store(&probing->failed, number);
        probing->status = status;
        probing->err = *err;
    }
    pthread_mutex_unlock(&probing->lock);
}

/* Files in the order of the listing, until none is left or one in front of the rest has failed. */
static void probe_some(struct prober *prober)
{
    struct probing *probing = prober->probing;
    struct files_source *source = probing->source;
    const struct mr_store *store = source->location.store;
    struct mr_error err = {0};
    void *handle = NULL;
    enum mr_status status =
        store->open(source->place.url, source->options, &prober->runtime, &handle, &err);
    if (status != MR_OK) {
        note_failure(probing, 0, status, &err);
        return;
    }
    for (;;) {
        int number = atomic_fetch_add(&probing->next, 1);
        if (number >= atomic_load(&probing->failed) || atomic_load(&probing->stop))
            break;
        status = probe_one(source, handle, &probing->probes[number], &prober->runtime,
                           &prober->arena, &err);
        if (status != MR_OK)
            note_failure(probing, number, status, &err);
    }
    store->close(handle);
}

static void prober_body(void *arg)
{
    struct prober *prober = arg;
    probe_some(prober);
    atomic_fetch_sub(&prober->probing->running, 1);
}

/* What they found, moved to the plan's arena. */
static enum mr_status copy_schemas(struct probing *probing, struct mr_error *err)
{
    for (int i = 0; i < probing->count; i++) {
        struct mr_file_info *info = &probing->probes[i].info;
        info->schema =
            mr_schema_new(probing->source->arena, info->schema->fields, info->schema->nfields);
        if (info->details != NULL)
            info->details = mr_arena_strdup(probing->source->arena, info->details);
        if (info->schema == NULL)
            return mr_error_nomem(err);
    }
    return MR_OK;
}

static enum mr_status run_probers(struct probing *probing, struct prober *probers, int nthreads,
                                  struct mr_runtime *runtime, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    bool timed_out;
    for (int i = 0; i < nthreads && status == MR_OK; i++) {
        atomic_fetch_add(&probing->running, 1);
        status = mr_thread_start(&probers[i].thread, "mr-probe", prober_body, &probers[i], err);
        if (status != MR_OK)
            atomic_fetch_sub(&probing->running, 1);
    }
    for (int64_t pause = 200; status == MR_OK && atomic_load(&probing->running) > 0;) {
        status = mr_wait(runtime->waiter, -1, 0, mr_clock_monotonic_micros() + pause,
                         MR_WAIT_SOURCE, &timed_out, err);
        pause = pause < 5000 ? 2 * pause : pause;
    }
    atomic_store(&probing->stop, status != MR_OK);
    for (int i = 0; i < nthreads; i++)
        if (probers[i].thread.running)
            mr_thread_join(&probers[i].thread);
    return status;
}

static int threads_for(const struct files_source *source, int count,
                       const struct mr_runtime *runtime)
{
    bool local = strcmp(source->location.store->scheme, "file") == 0;
    int most = local ? LOCAL_THREADS : REMOTE_THREADS;
    if (local && runtime->parallelism > 0 && runtime->parallelism < most)
        most = runtime->parallelism;
    return count < most ? count : most;
}

static enum mr_status probe_all(struct probing *probing, struct mr_runtime *runtime,
                                struct mr_error *err)
{
    int nthreads = threads_for(probing->source, probing->count, runtime);
    struct prober *probers = mr_calloc((size_t)nthreads, sizeof *probers);
    if (probers == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < nthreads; i++) {
        probers[i].probing = probing;
        probers[i].waiter = (struct mr_waiter){prober_wait, prober_cancelled};
        probers[i].runtime = *runtime;
        if (nthreads > 1)
            probers[i].runtime.waiter = &probers[i].waiter;
        mr_arena_init(&probers[i].arena, runtime->memory);
    }
    enum mr_status status = MR_OK;
    if (nthreads == 1)
        probe_some(&probers[0]);
    else
        status = run_probers(probing, probers, nthreads, runtime, err);
    if (status == MR_OK && probing->status != MR_OK) {
        status = probing->status;
        if (err != NULL)
            *err = probing->err;
    }
    if (status == MR_OK)
        status = copy_schemas(probing, err);
    for (int i = 0; i < nthreads; i++)
        mr_arena_reset(&probers[i].arena);
    mr_free(probers);
    return status;
}

/* Is this, the `seen`th of `all`, one of the `most` that are spread over all of them? */
static bool is_chosen(int64_t seen, int64_t all, int64_t most)
{
    if (all <= most)
        return true;
    int64_t nearest =
        (seen * most + all - 1) / all; /* the first number whose place is not before */
    return nearest < most && nearest * all / most == seen;
}

/* In the order of the listing: of those that are new up to `most`, and a few of those that are known. */
static void choose(const struct files_source *source, int most, struct files_probe *probes,
                   int *count)
{
    int64_t all[2] = {0, 0}, seen[2] = {0, 0};
    for (int i = 0; i < source->nentries; i++)
        all[source->entries[i].known]++;
    for (int i = 0; i < source->nentries; i++) {
        bool known = source->entries[i].known;
        if (is_chosen(seen[known]++, all[known], known ? KNOWN_MOST : most))
            probes[(*count)++].entry = i;
    }
}

enum mr_status files_probe(struct files_source *source, struct mr_runtime *runtime,
                           struct files_probe **out, int *count, struct mr_error *err)
{
    int most = files_is_text(source->format) ? TEXT_MOST : BINARY_MOST;
    *out = mr_arena_calloc(source->arena, (size_t)most + KNOWN_MOST + 1, sizeof **out);
    if (*out == NULL)
        return mr_error_nomem(err);
    *count = 0;
    choose(source, most, *out, count);
    struct probing probing = {.source = source, .probes = *out, .count = *count, .failed = *count};
    if (*count == 0)
        return MR_OK;
    mr_mutex_init(&probing.lock);
    enum mr_status status = probe_all(&probing, runtime, err);
    pthread_mutex_destroy(&probing.lock);
    return status;
}
