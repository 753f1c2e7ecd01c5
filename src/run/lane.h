/*
 * lane.h - a lane of a shared stream in this process: a session of its own on a thread of its own.
 */
#ifndef MR_RUN_LANE_H
#define MR_RUN_LANE_H

#include "base/thread.h"
#include "run/run.h"

/* What the lanes of a process have in common. */
struct mr_lanes {
    struct mr_session *parent; /* of the process */
    const struct mr_run_options *options;
    struct mr_listen *listen; /* or NULL */
    struct mr_pool *pool;
    void *member; /* of the group */
    char *text;   /* of the file, as it was when the process began */
    size_t text_size;
    struct mr_slice begin; /* positions of a lane that remembers none */
    int64_t memory;        /* budget of a lane */
    int ended_fd;          /* eventfd: one has ended */
    pthread_mutex_t lock;  /* of the lanes' fields that say so */
    pthread_mutex_t log;   /* one line at a time */
};

enum mr_lane_stop { MR_LANE_GOES_ON, MR_LANE_DRAINS, MR_LANE_IS_CANCELLED };

/* How a lane's run ended. */
struct mr_lane_end {
    enum mr_status status;
    struct mr_error err;
    char run_id[40];
    int64_t rows_read;
    int64_t rows_written;
    int64_t epoch; /* the last that is committed; -1 = not known */
};

struct mr_lane_thread {
    struct mr_lanes *lanes;
    const char *name;
    bool fresh;
    struct mr_session_lane given;
    struct mr_thread thread;
    struct mr_session *session; /* lock; NULL before it is open and after it has ended */
    enum mr_lane_stop stop;     /* lock */
    bool ended;                 /* lock: `end` is written */
    struct mr_lane_end end;
};

/* `thread` is the caller's, zeroed, and stays until mr_lane_join. */
enum mr_status mr_lane_start(struct mr_lane_thread *thread, struct mr_lanes *lanes,
                             const char *name, struct mr_error *err);
/* Drains it, or cancels it; what was said later and is stronger holds. Any thread. */
void mr_lane_stop(struct mr_lane_thread *thread, enum mr_lane_stop stop);
bool mr_lane_ended(struct mr_lane_thread *thread);
void mr_lane_join(struct mr_lane_thread *thread);

#endif
