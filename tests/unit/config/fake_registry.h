/*
 * fake_registry.h - methods with option tables and no behaviour, for tests of configuration.
 */
#ifndef TESTS_UNIT_CONFIG_FAKE_REGISTRY_H
#define TESTS_UNIT_CONFIG_FAKE_REGISTRY_H

#include "ext/registry.h"

extern const struct mr_registry fake_registry;

#endif
