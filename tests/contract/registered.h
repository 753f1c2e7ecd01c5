/*
 * registered.h - what the contract suites run on: every implementation that the build registers.
 */
#ifndef MR_TESTS_CONTRACT_REGISTERED_H
#define MR_TESTS_CONTRACT_REGISTERED_H

#include "ext/registry.h"

const struct mr_registry *contract_registry(void);

#endif
