/*
 * registry.h - the table of everything that this build knows. Only api/ includes it.
 */
#ifndef MR_REGISTRY_H
#define MR_REGISTRY_H

#include "ext/registry.h"

extern const struct mr_registry mr_registry_builtin;

#endif
