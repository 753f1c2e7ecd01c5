/*
 * manifest.h - the object that lists what a target consists of, for readers who need all or nothing.
 */
#ifndef MR_CONNECT_FILES_MANIFEST_H
#define MR_CONNECT_FILES_MANIFEST_H

#include "connect/files/token.h"
#include "ext/store.h"

#define FILES_MANIFEST "_manifest.json"

/* MR_SINK when there is a manifest that is not one of ours: found before anything is committed. */
enum mr_status files_manifest_check(const struct mr_store *store, void *handle,
                                    struct mr_error *err);
/*
 * Replaces the manifest by one with what the token publishes and, unless the token says that it
 * replaces everything, what was listed before and is not removed. Idempotent.
 */
enum mr_status files_manifest_write(const struct mr_store *store, void *handle,
                                    const struct files_token *token, struct mr_error *err);

#endif
