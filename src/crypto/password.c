#include "crypto/password.h"

#include <argon2.h>

#include "base/assert.h"

bool pd_password_cost_is_sane(const struct pd_password_cost *cost)
{
	return cost->lanes == 1 && cost->memory_kib >= 8 && cost->memory_kib <= PD_PASSWORD_MEMORY_KIB_MAX &&
	       cost->passes >= 1 && cost->passes <= PD_PASSWORD_PASSES_MAX;
}

int pd_password_hash(struct pd_slice password, const uint8_t salt[PD_PASSWORD_SALT_SIZE],
		     const struct pd_password_cost *cost, uint8_t hash[PD_PASSWORD_HASH_SIZE])
{
	PD_ASSERT(pd_password_cost_is_sane(cost));
	return argon2id_hash_raw(cost->passes, cost->memory_kib, cost->lanes, password.data, password.size,
				 salt, PD_PASSWORD_SALT_SIZE, hash, PD_PASSWORD_HASH_SIZE) == ARGON2_OK
		       ? 0
		       : PD_NO_MEMORY;
}
