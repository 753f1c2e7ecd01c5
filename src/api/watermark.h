/*
 * watermark.h - where incremental reading of a pipeline has ended, shown and set.
 */
#ifndef MR_API_WATERMARK_H
#define MR_API_WATERMARK_H

#include "api/pipeline.h"
#include "state/state.h"

struct mr_api_watermark {
    const char *step;  /* its name, else "fromPostgres#1" */
    const char *label; /* "step 1 (fromPostgres)"; NULL: the file has no such step */
    const char *method;
    const char *text; /* at full precision; NULL = there is none */
    bool by_person;
    const char *run_id;  /* that set it; NULL = not known any more */
    int64_t time_micros; /* when, 0 = not known */
    const char *initial;
    const char *guarantee; /* of the run that ended there, or NULL */
};

struct mr_api_watermarks {
    const char *lane;   /* of a stream that is shared: whose these are; NULL = of the pipeline */
    int64_t epoch;      /* 0 = nothing was committed yet */
    bool unfinished;    /* a run was interrupted between PREPARED and COMMITTED */
    const char *run_id; /* of the last committed run, or NULL */
    int64_t time_micros;
    const char *safe_time; /* ${last_run_timestamp} of steps that are not incremental, or NULL */
    int count;
    struct mr_api_watermark *items;
    bool shared; /* the items are where lanes begin that are not in `lanes` */
    int nlanes;  /* each has items of its own, and no lanes */
    struct mr_api_watermarks *lanes;
};

/* Steps of the file that read incrementally, then what is remembered of others. In the arena. */
enum mr_status mr_api_watermarks(struct millrace_pipeline *pipeline, struct mr_arena *arena,
                                 struct mr_api_watermarks *out, struct mr_error *err);
struct mr_api_watermark_change {
    const char *step; /* NULL: the pipeline's safe time */
    const char *lane; /* of a stream that is shared, and only of one */
    const char *text; /* NULL: forgets it */
};
/*
 * Under the lease of the pipeline, or of the lane. The value is given to the source where that can be reached: MR_CONFIG or
 * MR_SOURCE when it refuses it; *unchecked (in the pipeline's arena) says why it could not be asked, else NULL.
 */
enum mr_status mr_api_watermark_set(struct millrace_pipeline *pipeline,
                                    const struct mr_api_watermark_change *change,
                                    const char **unchecked, struct mr_error *err);

#endif
