/* Argon2id (RFC 9106): a password becomes something that tells it again and costs whoever guesses time and memory.
 *
 * Threads: any; nothing is shared. It takes tens of milliseconds: never in the loop. */
#ifndef PD_CRYPTO_PASSWORD_H
#define PD_CRYPTO_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define PD_PASSWORD_SALT_SIZE 16
#define PD_PASSWORD_HASH_SIZE 32

/* What one guess costs. */
struct pd_password_cost {
	uint32_t memory_kib, passes, lanes;
};
/* What OWASP's cheat sheet of password storage asks for at least, the second of its equals: 12 MiB, 3 passes. */
#define PD_PASSWORD_COST_DEFAULT \
	((struct pd_password_cost){ .memory_kib = 12 * 1024, .passes = 3, .lanes = 1 })
/* Nothing dearer is computed, whatever a record says. */
#define PD_PASSWORD_MEMORY_KIB_MAX (64u * 1024)
#define PD_PASSWORD_PASSES_MAX     16u

bool pd_password_cost_is_sane(const struct pd_password_cost *cost);
/* PD_NO_MEMORY. The cost is sane. */
PD_MUST_CHECK int pd_password_hash(struct pd_slice password, const uint8_t salt[PD_PASSWORD_SALT_SIZE],
				   const struct pd_password_cost *cost, uint8_t hash[PD_PASSWORD_HASH_SIZE]);

#endif
