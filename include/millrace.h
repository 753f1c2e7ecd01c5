/*
 * millrace.h - the embedding API of Millrace.
 *
 * Open a pipeline, validate it, plan it, run it; cancel it from another thread; take batches out
 * through the Arrow C stream interface; or take the plan apart into tasks for a foreign scheduler.
 * The library keeps no global state, installs no signal handlers, writes nothing to standard output
 * or error, and never calls exit().
 *
 * Threads: different pipelines may be used from different threads at once. One pipeline is used by
 * one thread at a time, except millrace_cancel, which any thread (and a signal handler) may call.
 *
 * Every call that can fail returns a code (MILLRACE_OK = 0; the others are the command's exit
 * codes) and describes the failure in millrace_error_count / millrace_error_message, valid until
 * the next call on the same pipeline.
 */
#ifndef MILLRACE_H
#define MILLRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MILLRACE_API __attribute__((visibility("default")))
#else
#define MILLRACE_API
#endif

enum millrace_code {
    MILLRACE_OK = 0,
    MILLRACE_USAGE = 2,  /* an argument is wrong */
    MILLRACE_CONFIG = 3, /* the pipeline file is wrong */
    MILLRACE_CREDENTIALS = 4,
    MILLRACE_SOURCE = 5,
    MILLRACE_SINK = 6,
    MILLRACE_VALIDATION = 7, /* rows broke the rules; nothing was committed */
    MILLRACE_LIMIT = 8,      /* memory or another stated limit */
    MILLRACE_BUSY = 9,       /* another run holds the pipeline */
    MILLRACE_INTERNAL = 10,
    MILLRACE_CANCELLED = 130, /* millrace_cancel; resumable */
};

enum millrace_log_level {
    MILLRACE_LOG_DEBUG,
    MILLRACE_LOG_INFO,
    MILLRACE_LOG_WARN,
    MILLRACE_LOG_ERROR,
};

struct millrace_pipeline;

/*
 * What the pipelines of one process share: cores, memory, requests to a service of S3, and limits of
 * connections that they state for the same server. A millrace_run of a pipeline that was opened with a
 * pool waits until there is room for all that it may need; then it does what it does alone, with
 * `memory` divided by `runs` as its budget where its file names none. Any thread.
 */
struct millrace_pool;
struct millrace_pool_options {
    int cores;      /* 0 = the machine's */
    int runs;       /* at once, at most; 0 = twice the cores */
    int64_t memory; /* bytes; 0 = half of what the machine allows */
};

struct millrace_open_options {
    /*
     * path of the pipeline file; with `text`, its name in messages and the base of relative paths
     */
    const char *file;
    const char *text; /* the JSON itself, or NULL to read `file` */
    size_t text_size;
    const char *credentials_file; /* NULL = the usual places */
    const char *state_path;       /* NULL = as the file says */
    /*
     * What the scheduler calls this run: the same for all attempts at it, and for no other run of the pipeline (Airflow's run id and
     * task id, a job's name). Once a run, or a job in parts, has succeeded under a key, another with the same key of this pipeline
     * in the same state does nothing and succeeds; one that was interrupted in its commit is finished by it. NULL, "" = none. Must
     * stay valid until millrace_close.
     */
    const char *run_key;
    const char *const *parameters; /* name, value, ..., NULL; or NULL */
    const char *const *conf;       /* sparkConf overrides: key, value, ..., NULL; or NULL */
    /*
     * One call a record, never concurrently with itself, from any thread. Text is one line. NULL =
     * no log.
     */
    void (*log)(void *context, enum millrace_log_level level, const char *text);
    void *log_context;
    enum millrace_log_level log_level;
    bool log_json;              /* records as JSON objects */
    struct millrace_pool *pool; /* NULL = none */
    int stop_seconds; /* a cancelled call that has to finish a commit goes on for 6/10 of it; 0 = 10 */
};

struct millrace_progress {
    int64_t rows_read;
    int64_t rows_written;
    int64_t bytes_read;
    int64_t bytes_written;
    int64_t rows_expected; /* -1 = unknown */
    int splits_done;
    int splits;
    bool done; /* the last call of this run */
};

struct millrace_run_options {
    bool fresh;              /* forget watermarks, positions and what an unfinished run has done */
    bool resume;             /* go on with the unfinished run, or fail: MILLRACE_CONFIG */
    bool adopt;              /* state was lost: go on from what the targets know */
    const char *report_file; /* also write the report there; NULL = no */
    const char *listen;      /* "host:port": /metrics, /healthz, /readyz over HTTP; NULL = no */
    /* Five times a second; not in mode streaming, whose log tells how it goes on. */
    void (*progress)(void *context, const struct millrace_progress *progress);
    void *progress_context;
};

/* "0.1.0" */
MILLRACE_API const char *millrace_version(void);

/*
 * Reads and checks a pipeline. *out is set on failure too (unless memory is out), to carry the
 * errors; always close it.
 */
MILLRACE_API int millrace_open(const struct millrace_open_options *options,
                               struct millrace_pipeline **out);
/* `options` may be NULL. Freed after the pipelines that were opened with it are closed. */
MILLRACE_API int millrace_pool_new(const struct millrace_pool_options *options,
                                   struct millrace_pool **out);
MILLRACE_API void millrace_pool_free(struct millrace_pool *pool);
/* NULL is allowed. Not while another call on it is running. */
MILLRACE_API void millrace_close(struct millrace_pipeline *pipeline);

/* Problems of the last call: 0 after a success. Each message is one line: "where: what (hint)". */
MILLRACE_API int millrace_error_count(const struct millrace_pipeline *pipeline);
MILLRACE_API const char *millrace_error_message(const struct millrace_pipeline *pipeline, int i);

/*
 * Binds everything. Without `connect` nothing is contacted, and what only a catalog knows stays
 * unchecked.
 */
MILLRACE_API int millrace_validate(struct millrace_pipeline *pipeline, bool connect);
/*
 * What the last millrace_validate or millrace_plan found worth a warning, the deliberate differences
 * from Spark among it: "warning: where: text", a line each, "" where there is none. *out is freed
 * with millrace_free.
 */
MILLRACE_API int millrace_warnings(struct millrace_pipeline *pipeline, char **out);
/* The plan as text or JSON (connects). *out is freed with millrace_free. */
MILLRACE_API int millrace_plan(struct millrace_pipeline *pipeline, bool json, char **out);
/*
 * Runs it, once per millrace_open. *report (JSON, millrace_free; may be NULL) is given on success
 * and failure; `options` may be NULL.
 */
MILLRACE_API int millrace_run(struct millrace_pipeline *pipeline,
                              const struct millrace_run_options *options, char **report);
/*
 * Any thread, signal handlers too: the call in progress returns MILLRACE_CANCELLED within seconds.
 */
MILLRACE_API void millrace_cancel(struct millrace_pipeline *pipeline);
/*
 * Any thread, signal handlers too. Mode streaming: millrace_run finishes and commits the epoch at hand, then returns
 * MILLRACE_CANCELLED. Anything else: like millrace_cancel.
 */
MILLRACE_API void millrace_stop(struct millrace_pipeline *pipeline);
MILLRACE_API void millrace_free(void *memory);

struct ArrowArrayStream;
/*
 * Gives rows to the pipeline: the stream that its fromArrow steps with `"stream": name` read. On
 * success the stream is moved: the library releases it, and the caller's struct is marked as
 * released; on failure it stays the caller's. After millrace_open and before anything else; a name
 * once. The schema is read by the first millrace_validate; the rows are read, all of them and once,
 * by the first call that connects (plan, run, stream, validate with `connect`), on the thread of
 * that call, into memory that counts against resources.memory until millrace_close. In a job in
 * parts every pipeline is given the same rows.
 */
MILLRACE_API int millrace_give_stream(struct millrace_pipeline *pipeline, const char *name,
                                      struct ArrowArrayStream *stream);
/*
 * The rows of the primary frame after step `step` (its name, or its number from 1; NULL = after the
 * last transform), at most `rows` of them (0 = all), as an Arrow C stream. Nothing is loaded or
 * committed. The stream is read on one thread, must be released before the pipeline is closed, and
 * the pipeline must not be used meanwhile (millrace_cancel excepted). The arrays that came out of it
 * are the caller's: they count against no budget and may outlive the pipeline.
 */
MILLRACE_API int millrace_stream(struct millrace_pipeline *pipeline, const char *step, int64_t rows,
                                 struct ArrowArrayStream *out);

/*
 * For a foreign scheduler: one run in parts. millrace_job_plan fixes the snapshot and describes the
 * tasks; each task is run anywhere by millrace_job_run_task on a pipeline opened from the same file
 * (one per task), as long as the planning pipeline stays open (it holds the snapshot and the
 * lease); the results of all tasks go to millrace_job_commit on the planning pipeline. Tasks and
 * results are byte strings to be passed on as they are. No tasks at all: the commit of an
 * interrupted run was finished instead, or the run key has succeeded already; nothing is to be committed then
 * (millrace_job_commit may be called, and does nothing). A job has a row among the runs like a run's: without a run key, a scheduler
 * that did not hear of its success and repeats it loads the rows again. A task may be run again if its result got lost, but not by
 * two at the same time.
 */
struct millrace_bytes {
    void *data; /* millrace_free */
    size_t size;
};
MILLRACE_API int millrace_job_plan(struct millrace_pipeline *pipeline,
                                   struct millrace_bytes **tasks, int *ntasks);
MILLRACE_API int millrace_job_run_task(struct millrace_pipeline *pipeline, const void *task,
                                       size_t task_size, struct millrace_bytes *result);
MILLRACE_API int millrace_job_commit(struct millrace_pipeline *pipeline,
                                     const struct millrace_bytes *results, int nresults);

#ifdef __cplusplus
}
#endif

#endif
