/*
 * crash_suite.c - the files sink killed before and after every rename, fsync, write and unlink of a run, then run again.
 *
 * The child is a small engine: it finishes a prepared commit or discards a dead run's leftovers, stages the rows of the next epoch,
 * keeps the token in a durable file (PREPARED), commits, and counts the epoch (COMMITTED). The parent first lists the
 * failure points of one run, then kills a child at each of them, starts it again until it ends, and compares the target with
 * that of a run nobody killed: the same rows and nothing hidden left. Before PREPARED a kill must leave the target
 * as it was. Needs configure --enable-failpoints; skipped without.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "connect/files/files.h"
#include "contract/fixture.h"
#include "contract/registered.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEMA  "id INT, g STRING"
#define SKIPPED 77

struct scenario {
    const char *name;
    const char *pairs[12];
};

static const struct scenario scenarios[] = {
    {"append", {"path", "out", "format", "json", NULL}},
    {"append, partitioned", {"path", "out", "format", "json", "partitionBy", "g", NULL}},
    {"overwrite", {"path", "out", "format", "json", "mode", "overwrite", NULL}},
    {"dynamic overwrite",
     {"path", "out", "format", "json", "mode", "overwrite", "partitionBy", "g", NULL}},
    {"static overwrite",
     {"path", "out", "format", "json", "mode", "overwrite", "partitionBy", "g",
      "partitionOverwriteMode", "static", NULL}},
};
#define NSCENARIOS ((int)(sizeof scenarios / sizeof scenarios[0]))

/* Rows of epoch 1 are there before; epoch 2 is the run that dies. Epoch 2 leaves partition c alone. */
static const char *const epochs[2][6] = {
    {"11|a", "12|b", "13|b", "14|c", NULL},
    {"21|a", "22|a", "23|b", "24|d", NULL},
};

/* ---- the child: one run ---- */

static void write_file(const char *path, struct mr_slice data)
{
    char temporary[400];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || write(fd, data.data, data.size) != (ssize_t)data.size || fsync(fd) != 0 ||
        close(fd) != 0 || rename(temporary, path) != 0)
        abort();
}

static void stage_rows(struct fixture *f, const struct mr_options *options, int epoch_number,
                       struct mr_bytes *token)
{
    void *state, *writer;
    struct mr_sink_info info;
    struct mr_sink_bind bind = {.options = options,
                                .runtime = &f->runtime,
                                .arena = &f->arena,
                                .schema = fixture_schema(f, SCHEMA),
                                .step = "step 2 (toFile)"};
    struct mr_epoch epoch = {.epoch = epoch_number};
    struct mr_bytes committables[2];
    struct mr_slice slices[2];
    FIXTURE_OK(f, mr_sink_files.bind(&bind, &state, &info, &f->err));
    for (int task = 0; task < 2; task++) {
        const char *const *rows = epochs[epoch_number - 1] + 2 * task;
        const char *const own[] = {rows[0], rows[1], NULL};
        struct mr_batch *batch = fixture_batch(f, SCHEMA, own);
        mr_bytes_init(&committables[task], 1 << 20);
        FIXTURE_OK(f,
                   mr_sink_files.writer_open(state, &f->runtime, &epoch, task, &writer, &f->err));
        FIXTURE_OK(f, mr_sink_files.write(writer, batch, &f->err));
        FIXTURE_OK(f, mr_sink_files.writer_finish(writer, &committables[task], &f->err));
        mr_sink_files.writer_close(writer);
        mr_batch_unref(batch);
        slices[task] = (struct mr_slice){committables[task].data, committables[task].size};
    }
    FIXTURE_OK(f, mr_sink_files.prepare(state, &f->runtime, &epoch, slices, 2, token, &f->err));
    mr_sink_files.close(state);
    mr_bytes_reset(&committables[0]);
    mr_bytes_reset(&committables[1]);
}

static int child(const char *directory, const char *number)
{
    struct fixture f;
    const struct mr_options *options;
    char private[256], prepared[300], committed[300];
    fixture_init(&f, 0);
    f.registry = *contract_registry();
    memcpy(private, f.directory, sizeof private);
    snprintf(f.directory, sizeof f.directory, "%s", directory);
    snprintf(prepared, sizeof prepared, "%s/prepared", directory);
    snprintf(committed, sizeof committed, "%s/committed", directory);
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, mr_sink_files.options,
                                         scenarios[atoi(number)].pairs, &options, &f.err));
    const char *count = fixture_read(&f, committed, NULL);
    int epoch = count ? atoi(count) + 1 : 1;
    size_t size;
    char *left = fixture_read(&f, prepared, &size);
    struct mr_bytes token;
    mr_bytes_init(&token, 1 << 20);
    if (left) {
        mr_bytes_append(&token, left, size);
    } else {
        FIXTURE_OK(&f,
                   mr_sink_files.abort(options, &f.runtime, (struct mr_slice){NULL, 0}, &f.err));
        stage_rows(&f, options, epoch, &token);
        write_file(prepared, (struct mr_slice){token.data, token.size});
    }
    FIXTURE_OK(&f, mr_sink_files.commit(options, &f.runtime,
                                        (struct mr_slice){token.data, token.size}, &f.err));
    mr_bytes_reset(&token);
    write_file(committed, mr_slice_of(epoch == 1 ? "1" : "2"));
    unlink(prepared);
    memcpy(f.directory, private, sizeof private);
    return fixture_reset(&f);
}

/* ---- the parent ---- */

static int start(const char *directory, int scenario, const char *failpoint, const char *list)
{
    char number[8];
    snprintf(number, sizeof number, "%d", scenario);
    pid_t pid = fork();
    if (pid == 0) {
        unsetenv("MILLRACE_FAILPOINT_LIST");
        unsetenv("MILLRACE_FAILPOINT");
        if (failpoint)
            setenv("MILLRACE_FAILPOINT", failpoint, 1);
        if (list)
            setenv("MILLRACE_FAILPOINT_LIST", list, 1);
        execl("/proc/self/exe", "crash_suite", directory, number, (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

/* Every row of the target with its directory, sorted; then the hidden files if wanted. */
static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *look(struct fixture *f, const char *directory, bool hidden)
{
    char root[300], *lines[64], *text = mr_arena_calloc(&f->arena, 1, 8192);
    int count = 0;
    snprintf(root, sizeof root, "%s/out", directory);
    char *save, *tree = fixture_tree(f, root);
    for (char *path = strtok_r(tree, "\n", &save); path; path = strtok_r(NULL, "\n", &save)) {
        char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        if (*name == '.' && !hidden)
            continue;
        char *rest, *body = fixture_read(f, mr_arena_printf(&f->arena, "%s/%s", root, path), NULL);
        for (char *row = strtok_r(body, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest))
            lines[count++] = mr_arena_printf(&f->arena, "%s%.*s %s", *name == '.' ? "hidden " : "",
                                             slash ? (int)(slash - path) : 0, path, row);
    }
    qsort(lines, (size_t)count, sizeof lines[0], compare_lines);
    for (int i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s\n", lines[i]);
    return text;
}

static void make_directory(struct fixture *f, const char *name, char out[300])
{
    snprintf(out, 300, "%s/%s", f->directory, name);
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", out, out);
    if (system(command) != 0)
        abort();
}

/* Kills one run at `failpoint`, then lets it end. 1 when something is wrong. */
static int kill_at(struct fixture *f, int scenario, const char *failpoint, const char *before,
                   const char *after)
{
    char directory[300], prepared[320];
    struct stat info;
    make_directory(f, "killed", directory);
    snprintf(prepared, sizeof prepared, "%s/prepared", directory);
    if (start(directory, scenario, NULL, NULL) != 0)
        return 1;
    if (start(directory, scenario, failpoint, NULL) != -1) {
        printf("not ok - %s: %s: was not killed\n", scenarios[scenario].name, failpoint);
        return 1;
    }
    const char *seen = look(f, directory, false);
    if (stat(prepared, &info) != 0 && strcmp(seen, before) != 0) {
        printf("not ok - %s: %s: the target changed before PREPARED:\n%s", scenarios[scenario].name,
               failpoint, seen);
        return 1;
    }
    int ended = start(directory, scenario, NULL, NULL);
    seen = look(f, directory, true);
    if (ended == 0 && strcmp(seen, after) == 0)
        return 0;
    printf("not ok - %s: %s: exit %d, target:\n%s", scenarios[scenario].name, failpoint, ended,
           seen);
    return 1;
}

/* Occurrence numbers: the same name passed again is "name:2", and so on. */
static int kill_everywhere(struct fixture *f, int scenario)
{
    char directory[300], list[320], point[256];
    make_directory(f, "straight", directory);
    snprintf(list, sizeof list, "%s/points", f->directory);
    remove(list);
    if (start(directory, scenario, NULL, NULL) != 0)
        return 1;
    const char *before = look(f, directory, true);
    if (start(directory, scenario, NULL, list) != 0)
        return 1;
    const char *after = look(f, directory, true);
    char *names = fixture_read(f, list, NULL), *save, *seen[512];
    if (!names)
        return SKIPPED;
    int count = 0, failed = 0;
    for (char *name = strtok_r(names, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
        int times = 1;
        for (int i = 0; i < count; i++)
            times += strcmp(seen[i], name) == 0;
        seen[count++] = name;
        snprintf(point, sizeof point, "%s:%d=kill", name, times);
        failed += kill_at(f, scenario, point, before, after);
    }
    printf("%s - %s: killed at %d points\n", failed ? "not ok" : "ok", scenarios[scenario].name,
           count);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child(argv[1], argv[2]);
    struct fixture f;
    fixture_init(&f, 0);
    int failed = 0;
    for (int i = 0; i < NSCENARIOS && failed != SKIPPED; i++)
        failed += kill_everywhere(&f, i);
    /* The longest way once more with link and unlink instead of renameat2. */
    setenv("MILLRACE_TEST_LINK", "1", 1);
    if (failed != SKIPPED)
        failed += kill_everywhere(&f, NSCENARIOS - 1);
    if (failed == SKIPPED)
        printf("# skipped: not configured with --enable-failpoints\n");
    fixture_reset(&f);
    return failed == SKIPPED ? SKIPPED : failed != 0;
}
