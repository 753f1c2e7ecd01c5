/*
 * Allocations of the operators that sort and exchange rows fail one at a time (configure --enable-failpoints; every 11th, of
 * streams every 33rd, with MILLRACE_LONG all and every third): the answer must be "out of memory", with nothing charged and, under the address sanitizer, nothing leaked.
 *
 * MILLRACE_FAIL_ALLOC is read once a process, so each try is a child of its own. A child says in shared memory how far it
 * came: failures while the data are made are the test's own.
 */
#include "drive.h"

#include "ext/kept.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BATCHES 4
#define EPOCHS  2
#define SAVED   256

struct job {
    const char *name;
    const struct mr_op *op;
    int64_t share;
    const char *pairs[16];
    bool stream; /* epochs, each with what is kept read back */
};

static const struct job jobs[] = {
    {"sortData", &mr_op_sort_data, 1 << 20, {"orderBy", "s DESC,a,lower(s)", NULL}},
    {"sortData, spilled", &mr_op_sort_data, 1, {"orderBy", "s,a DESC", NULL}},
    {"sortData, limit", &mr_op_sort_data, 1, {"orderBy", "s", "limit", "3", NULL}},
    {"deduplicate", &mr_op_deduplicate, 1 << 20, {"keys", "a,s", NULL}},
    {"deduplicate, spilled", &mr_op_deduplicate, 1, {"keys", "s", "orderBy", "d", NULL}},
    {"repartitionByColumns", &mr_op_repartition_by_columns, 1, {"columns", "a,s", NULL}},
    {"windowColumns",
     &mr_op_window_columns,
     1 << 20,
     {"partitionBy", "a", "orderBy", "s", "columns", "x=sum(d) - lag(d)", "columns",
      "y=collect_list(s)", "frame", "ROWS 1 PRECEDING", "columns", "z=min(s)", NULL}},
    {"windowColumns, in pieces",
     &mr_op_window_columns,
     1,
     {"orderBy", "s,d", "columns", "x=sum(a)", "columns", "y=lag(s)", "columns", "z=max(s)", NULL}},
    {"windowColumns of a stream",
     &mr_op_window_columns,
     1 << 20,
     {"partitionBy", "a", "columns", "x=sum(d) - lag(d)", "columns", "y=max_by(s, d)", "columns",
      "z=avg(d)", "frame", "ROWS UNBOUNDED PRECEDING", NULL},
     .stream = true},
    {"windowColumns of a stream, in files",
     &mr_op_window_columns,
     1,
     {"partitionBy", "s", "columns", "x=first_value(s)", "columns", "y=lag(s, 2)", "columns",
      "z=sum(d)", "frame", "ROWS 2 PRECEDING", NULL},
     .stream = true},
};
#define NJOBS (sizeof jobs / sizeof jobs[0])

enum phase { MAKING, RUNNING, DONE };

/* What an operator has saved. */
struct saved {
    struct mr_emit emit;
    struct mr_batch *batches[SAVED];
    int count;
};

static enum mr_status save(struct mr_emit *emit, int port, struct mr_batch *batch,
                           struct mr_error *err)
{
    struct saved *saved = (struct saved *)(void *)emit;
    (void)err;
    assert_int_equal(port, 0);
    assert_in_range(saved->count, 0, SAVED - 1);
    saved->batches[saved->count++] = batch;
    return MR_OK;
}

static enum mr_status run_epoch(const struct job *job, struct drive *drive,
                                struct mr_batch **batches, struct saved *saved)
{
    const struct mr_keeper *keeper = job->op->keeper;
    enum mr_status status;
    MR_TRY(
        keeper->open(drive->plan, &drive->runtime, job->share, &drive->runtime.kept, &drive->err));
    for (int i = 0, count = saved->count; i < count; i++)
        MR_TRY_OUT(keeper->restore(drive->runtime.kept, saved->batches[i], &drive->err));
    MR_TRY_OUT(drive_run(drive, batches, BATCHES, 2, job->share));
    status = keeper->save(drive->runtime.kept, false, &saved->emit, &drive->err);
out:
    keeper->close(drive->runtime.kept);
    drive->runtime.kept = NULL;
    return status;
}

static enum mr_status run_epochs(const struct job *job, struct drive *drive,
                                 struct mr_batch **batches)
{
    struct saved saved = {.emit = {.batch = save}};
    enum mr_status status = MR_OK;
    for (int epoch = 0; status == MR_OK && epoch < EPOCHS; epoch++)
        status = run_epoch(job, drive, batches, &saved);
    for (int i = 0; i < saved.count; i++)
        mr_batch_unref(saved.batches[i]);
    return status;
}

static void child(const struct job *job, int n, volatile int *phase)
{
    static struct drive drive;
    struct mr_batch *batches[BATCHES];
    const struct mr_schema *schema;
    char number[16];
    snprintf(number, sizeof number, "%d", n);
    setenv("MILLRACE_FAIL_ALLOC", number, 1);
    drive_init(&drive);
    if (mr_schema_parse(&drive.arena, "a int, s string, d double", &schema, &drive.err) != MR_OK)
        exit(1);
    for (int b = 0; b < BATCHES; b++)
        batches[b] =
            drive_rows(&drive, schema,
                       "1,a text of many bytes and more,2.5;2,NULL,1;1,a text of many bytes "
                       "and no more,NULL;NULL,,0.5;2,a text of many bytes and more,-1");
    int64_t used = mr_memory_used(&drive.memory);
    *phase = RUNNING;
    drive.stream = job->stream;
    enum mr_status status = drive_bind(&drive, job->op, schema, -1, job->pairs);
    if (status == MR_OK)
        status = job->stream ? run_epochs(job, &drive, batches)
                             : drive_run(&drive, batches, BATCHES, 2, job->share);
    drive_forget(&drive);
    *phase = DONE;
    int code = mr_memory_used(&drive.memory) != used ? 99 : (int)status;
    drive_free_data(batches, BATCHES);
    drive_reset(&drive);
    exit(code);
}

/* The child's enum mr_status, -1 when the data could not be made. */
static int try_once(const struct job *job, int n, volatile int *phase)
{
    int status;
    *phase = MAKING;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            exit(98);
        child(job, n, phase);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 98;
    if (*phase == MAKING)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

/* With an argument: only jobs whose name holds it. */
int main(int argc, char **argv)
{
#ifdef MR_ENABLE_FAILPOINTS
    const bool injected = true;
#else
    const bool injected = false;
#endif
    const int every = getenv("MILLRACE_LONG") ? 1 : 11;
    volatile int *phase =
        mmap(NULL, sizeof *phase, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (phase == MAP_FAILED)
        return 1;
    for (size_t j = 0; j < NJOBS; j++) {
        int n = injected, status;
        if (argc > 1 && !strstr(jobs[j].name, argv[1]))
            continue;
        while ((status = try_once(&jobs[j], n, phase)) == MR_NOMEM || status == -1) {
            if (!injected)
                break;
            n += jobs[j].stream ? 3 * every : every;
        }
        printf("%s: to the failure %d, then status %d\n", jobs[j].name, n - injected, status);
        if (status != MR_OK)
            return 1;
    }
    if (!injected)
        printf("skipped: no failures without configure --enable-failpoints\n");
    return injected ? 0 : 77;
}
