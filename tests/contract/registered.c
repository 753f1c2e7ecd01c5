/*
 * registered.c - the contract suites run on the registry of the program: an implementation that
 * is added there is tested without another line.
 */
#include "contract/registered.h"

#include "registry.h"

const struct mr_registry *contract_registry(void)
{
    return &mr_registry_builtin;
}
