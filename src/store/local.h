/*
 * local.h - the store on a local directory.
 */
#ifndef MR_STORE_LOCAL_H
#define MR_STORE_LOCAL_H

#include "ext/store.h"

extern const struct mr_store mr_store_local;

#endif
