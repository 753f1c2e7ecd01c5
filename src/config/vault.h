/*
 * vault.h - secrets of HashiCorp Vault (and OpenBao): KV engines, version 1 and 2.
 */
#ifndef MR_CONFIG_VAULT_H
#define MR_CONFIG_VAULT_H

#include "base/arena.h"
#include "base/wait.h"
#include "config/spec.h"

/* One secret as the server sent it; arena-owned. */
struct mr_vault_secret {
    struct mr_vault_secret *next;
    const char *path;   /* credentialPath as written */
    const char *origin; /* "Vault secret/data/x": for positions and messages */
    const char *text;   /* the whole answer, JSON */
    size_t size;
    bool versioned; /* the keys are in data.data, not in data */
};

/* Is there a Vault to ask: VAULT_ADDR is set. */
bool mr_vault_is_known(void);
/*
 * Fetches the secrets of all steps that wait for one (spec.h: vault_path), each path once. Waits
 * only through the waiter. MR_CREDENTIALS at the step, saying what was asked where and what was
 * wrong; never with a token or a value in it.
 */
enum mr_status mr_vault_fetch(const struct mr_spec *spec, struct mr_arena *arena,
                              struct mr_waiter *waiter, struct mr_retry_log *retries,
                              const struct mr_vault_secret **out, struct mr_error *err);

#endif
