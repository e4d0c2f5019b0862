#include "backup/proof.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"

#define PREFIX    "proven/"
#define NAME_SIZE 80

static void name_of(const struct pd_backup_proof *proof, char name[NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, PREFIX "%020" PRIu64 "-%020" PRIu64 "-%010" PRIu64, proof->proven_us,
		       proof->position.lsn, proof->position.epoch);
}

/* `count` digits from `text` on, which has so many bytes. */
static bool take(const char *text, size_t count, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (text[i] < '0' || text[i] > '9' || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return true;
}

static bool read_name(const char *name, struct pd_backup_proof *ret_proof)
{
	const char *text = name + sizeof PREFIX - 1;

	return strlen(text) == 52 && text[20] == '-' && text[41] == '-' &&
	       take(text, 20, &ret_proof->proven_us) && take(text + 21, 20, &ret_proof->position.lsn) &&
	       take(text + 42, 10, &ret_proof->position.epoch);
}

static int see(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct pd_backup_proof *newest = context, proof;

	(void)err;
	if (read_name(entry->name, &proof) && proof.proven_us >= newest->proven_us)
		*newest = proof;
	return 0;
}

struct clearing {
	struct pd_repository *repository;
	char own[NAME_SIZE];
};

/* What is older tells nobody anything. Whatever stays of it is overlooked. */
static int clear(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	const struct clearing *clearing = context;

	(void)err;
	if (strcmp(entry->name, clearing->own) < 0)
		(void)!pd_object_delete(clearing->repository->store, entry->name, NULL);
	return 0;
}

int pd_backup_proof_put(struct pd_repository *repository, const struct pd_backup_proof *proof,
			struct pd_error *err)
{
	struct clearing clearing = { .repository = repository };
	int result;

	name_of(proof, clearing.own);
	result = pd_object_put_bytes(repository->store, clearing.own, pd_slice_string(PD_VERSION "\n"), NULL,
				     err);
	if (result != 0 && result != PD_EXISTS)
		return result;
	return pd_repository_each(repository, PREFIX, clear, &clearing, err);
}

int pd_backup_proof_get(struct pd_repository *repository, struct pd_backup_proof *ret_proof,
			struct pd_error *err)
{
	*ret_proof = (struct pd_backup_proof){ 0 };
	return pd_repository_each(repository, PREFIX, see, ret_proof, err);
}
