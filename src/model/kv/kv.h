/* Key-values: strings, bits, keys and hashes with the semantics of Redis 7. */
#ifndef PD_MODEL_KV_KV_H
#define PD_MODEL_KV_KV_H

#include "model/command.h"

extern const struct pd_command pd_kv_commands[];
extern const size_t pd_kv_command_count;

#endif
