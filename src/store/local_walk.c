/*
 * local_walk.c - every file below a prefix, in byte order of their paths.
 *
 * The names in a directory are read, sorted and then visited (what stat says is not kept: a stream lists again and again). Sorting the name of a directory as if it ended in '/' gives the
 * byte order of full paths that S3 lists in ("a.b" before "a/x"), so the two stores agree without a global sort.
 * Links to directories below the root are not followed: an overwrite removes what is listed, and what such a link leads to
 * is not below the target. The root itself may be a link. A file that vanishes while we look is skipped.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "store/local_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define MAX_DEPTH 64

struct walk {
    struct local *local;
    bool hidden;
    enum mr_status (*each)(void *context, const char *path, const struct stat *info,
                           struct mr_error *err);
    void *context;
    struct mr_bytes full; /* root/path of where we are */
    size_t root;          /* bytes of "root/" in it */
    int depth;
};

/* As Spark has it: "_SUCCESS" and ".crc" are hidden, a partition directory "_c=1" is not. */
static bool is_hidden(const char *name)
{
    return name[0] == '.' || (name[0] == '_' && !strchr(name, '='));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* *directory: one to go into; *skip: neither that nor perhaps a file. */
static enum mr_status look_at(DIR *dir, const struct dirent *entry, bool *directory, bool *skip,
                              struct mr_error *err)
{
    struct stat info, link;
    *directory = entry->d_type == DT_DIR;
    *skip = false;
    if (entry->d_type == DT_DIR || entry->d_type == DT_REG)
        return MR_OK;
    *skip = true;
    if (fstatat(dirfd(dir), entry->d_name, &info, 0) != 0)
        return errno == ENOENT
                   ? MR_OK
                   : local_errno(err, MR_SOURCE, errno, "cannot look at", entry->d_name);
    *directory = S_ISDIR(info.st_mode);
    if (*directory)
        *skip = fstatat(dirfd(dir), entry->d_name, &link, AT_SYMLINK_NOFOLLOW) != 0 ||
                S_ISLNK(link.st_mode);
    else
        *skip = !S_ISREG(info.st_mode);
    return MR_OK;
}

/* A directory's ends in '/'. */
static enum mr_status add_name(struct mr_arena *arena, DIR *dir, const struct dirent *entry,
                               const char **names, int *count, struct mr_error *err)
{
    bool directory, skip;
    MR_TRY(look_at(dir, entry, &directory, &skip, err));
    if (skip)
        return MR_OK;
    names[*count] = directory ? mr_arena_printf(arena, "%s/", entry->d_name)
                              : mr_arena_strdup(arena, entry->d_name);
    return names[(*count)++] ? MR_OK : mr_error_nomem(err);
}

static enum mr_status read_names(const struct walk *walk, struct mr_arena *arena, DIR *dir,
                                 const char ***out, int *count, struct mr_error *err)
{
    const char **names = NULL;
    int capacity = 0;
    *count = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno)
            return local_errno(err, MR_SOURCE, errno, "cannot list", walk->full.data);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (!walk->hidden && is_hidden(entry->d_name)))
            continue;
        if (*count == capacity) {
            int wanted = capacity ? capacity * 2 : 16;
            const char **more = mr_arena_alloc(arena, (size_t)wanted * sizeof *more);
            if (!more)
                return mr_error_nomem(err);
            if (*count)
                memcpy(more, names, (size_t)*count * sizeof *more);
            names = more;
            capacity = wanted;
        }
        MR_TRY(add_name(arena, dir, entry, names, count, err));
    }
    if (*count)
        qsort(names, (size_t)*count, sizeof *names, compare_names);
    *out = names;
    return MR_OK;
}

static enum mr_status visit(struct walk *walk, struct mr_error *err);

static enum mr_status visit_file(struct walk *walk, struct mr_error *err)
{
    struct stat info;
    if (stat(walk->full.data, &info) != 0)
        return errno == ENOENT
                   ? MR_OK
                   : local_errno(err, MR_SOURCE, errno, "cannot look at", walk->full.data);
    if (!S_ISREG(info.st_mode))
        return MR_OK;
    return walk->each(walk->context, walk->full.data + walk->root, &info, err);
}

static enum mr_status visit_names(struct walk *walk, const char *const *names, int count,
                                  struct mr_error *err)
{
    size_t here = walk->full.size;
    for (int i = 0; i < count; i++) {
        walk->full.size = here;
        mr_bytes_text(&walk->full, names[i]);
        MR_TRY(mr_bytes_status(&walk->full, err));
        MR_TRY(walk->full.data[walk->full.size - 1] == '/' ? visit(walk, err)
                                                           : visit_file(walk, err));
    }
    walk->full.size = here;
    walk->full.data[here] = '\0';
    return MR_OK;
}

/* The directory whose path is in walk->full, with a slash at its end. */
static enum mr_status visit(struct walk *walk, struct mr_error *err)
{
    if (walk->depth == MAX_DEPTH)
        return mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG, "%s is more than %d directories deep",
                            walk->full.data, MAX_DEPTH);
    DIR *dir = opendir(walk->full.data);
    if (!dir)
        return errno == ENOENT ? MR_OK
                               : local_errno(err, MR_SOURCE, errno, "cannot list", walk->full.data);
    struct mr_arena arena;
    mr_arena_init(&arena, walk->local->runtime ? walk->local->runtime->memory : NULL);
    const char **names = NULL;
    int count;
    enum mr_status status = read_names(walk, &arena, dir, &names, &count, err);
    closedir(dir);
    walk->depth++;
    if (status == MR_OK)
        status = visit_names(walk, names, count, err);
    walk->depth--;
    mr_arena_reset(&arena);
    return status;
}

enum mr_status local_walk(struct local *local, const char *prefix, bool hidden,
                          enum mr_status (*each)(void *context, const char *path,
                                                 const struct stat *info, struct mr_error *err),
                          void *context, struct mr_error *err)
{
    struct walk walk = {.local = local, .hidden = hidden, .each = each, .context = context};
    mr_bytes_init(&walk.full, 1 << 20);
    mr_bytes_text(&walk.full, local->root);
    if (strcmp(local->root, "/") != 0)
        mr_bytes_char(&walk.full, '/');
    walk.root = walk.full.size;
    mr_bytes_text(&walk.full, prefix);
    enum mr_status status = mr_bytes_status(&walk.full, err);
    struct stat info;
    if (status == MR_OK && *prefix && stat(walk.full.data, &info) == 0 && S_ISREG(info.st_mode)) {
        status = each(context, prefix, &info, err);
    } else if (status == MR_OK) {
        if (walk.full.data[walk.full.size - 1] != '/')
            mr_bytes_char(&walk.full, '/');
        status = mr_bytes_status(&walk.full, err);
        if (status == MR_OK)
            status = visit(&walk, err);
    }
    mr_bytes_reset(&walk.full);
    return status;
}
