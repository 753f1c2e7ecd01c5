/*
 * token.h - the byte strings that a commit is made of.
 *
 * committable: u8 version, then per file: path, directory of its partition, ticket (each with its length in front), u64
 * rows, u64 bytes. token: u8 version, u8 mode, the store's URL, u8 manifest, stateKey, state UUID, run id, varint number of the load,
 * varint lane, u64 epoch, positions, varint count of publishes (path, ticket, u64 rows, u64 bytes), varint count of removals
 * (path).
 */
#ifndef MR_CONNECT_FILES_TOKEN_H
#define MR_CONNECT_FILES_TOKEN_H

#include "base/arena.h"
#include "base/bytes.h"

#include <stdint.h>

enum files_mode { FILES_APPEND, FILES_OVERWRITE, FILES_ERROR_IF_EXISTS, FILES_IGNORE };

enum files_manifest { FILES_MANIFEST_NONE, FILES_MANIFEST_ADDS, FILES_MANIFEST_REPLACES };

struct files_staged {
    const char *path; /* below the root, NUL-terminated in what files_*_read gives */
    const char *directory;
    struct mr_slice ticket;
    int64_t rows;
    int64_t bytes;
};

struct files_token {
    enum files_mode mode;
    const char *url;
    enum files_manifest manifest;
    const char *state_key; /* identity of the commit, for the marker */
    const char *uuid;      /* "" = the target is to remember nothing */
    const char *run;       /* id of the run, "" = not known */
    int load;
    int lane;
    int64_t epoch;
    struct mr_slice positions;
    int npublish;
    struct files_staged *publish; /* all but the directory */
    int nremove;
    const char **remove;
};

void files_committable_begin(struct mr_bytes *out);
void files_committable_add(struct mr_bytes *out, const struct files_staged *file);
/* Appends the files of one committable to a growing array in the arena. */
enum mr_status files_committable_read(struct mr_slice data, struct mr_arena *arena,
                                      struct files_staged **files, int *count,
                                      struct mr_error *err);

void files_token_write(const struct files_token *token, struct mr_bytes *out);
enum mr_status files_token_read(struct mr_slice data, struct mr_arena *arena,
                                struct files_token *out, struct mr_error *err);

#endif
