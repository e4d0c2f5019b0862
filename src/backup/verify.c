#include "backup/verify.h"

#include <string.h>

#include "backup/carrier.h"
#include "backup/keyring.h"
#include "base/codec.h"
#include "base/memory.h"

#define SLOTS_FIRST ((size_t)1024) /* a power of two */

void pd_backup_seen_init(struct pd_backup_seen *seen)
{
	*seen = (struct pd_backup_seen){ 0 };
}

void pd_backup_seen_done(struct pd_backup_seen *seen)
{
	pd_free(seen->slots);
	pd_backup_seen_init(seen);
}

/* Its slot, or the free one where it belongs. What is a hash need not be hashed. */
static struct pd_piece *slot_of(const struct pd_backup_seen *seen, const struct pd_piece *piece)
{
	static const struct pd_piece none = { { 0 } };
	size_t at = (size_t)pd_load_u64(piece->digest) & (seen->capacity - 1);

	while (memcmp(&seen->slots[at], &none, sizeof none) != 0 &&
	       memcmp(&seen->slots[at], piece, sizeof *piece) != 0)
		at = (at + 1) & (seen->capacity - 1);
	return &seen->slots[at];
}

bool pd_backup_seen_has(const struct pd_backup_seen *seen, const struct pd_piece *piece)
{
	return seen->count > 0 && memcmp(slot_of(seen, piece), piece, sizeof *piece) == 0;
}

static int grow(struct pd_backup_seen *seen)
{
	struct pd_backup_seen larger = { .capacity = seen->capacity == 0 ? SLOTS_FIRST : 2 * seen->capacity };
	static const struct pd_piece none = { { 0 } };

	larger.slots = pd_calloc(larger.capacity, sizeof *larger.slots);
	if (larger.slots == NULL)
		return PD_NO_MEMORY;
	for (size_t i = 0; i < seen->capacity; i++)
		if (memcmp(&seen->slots[i], &none, sizeof none) != 0)
			*slot_of(&larger, &seen->slots[i]) = seen->slots[i];
	larger.count = seen->count;
	pd_free(seen->slots);
	*seen = larger;
	return 0;
}

int pd_backup_seen_add(struct pd_backup_seen *seen, const struct pd_piece *piece, struct pd_error *err)
{
	if (pd_backup_seen_has(seen, piece))
		return 0;
	if (2 * seen->count >= seen->capacity && grow(seen) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of what was read");
	*slot_of(seen, piece) = *piece;
	seen->count++;
	return 0;
}

struct verifying {
	const struct pd_backup_watch *watch;
	struct pd_backup_seen *seen;
	struct pd_backup_verdict *verdict;
	uint64_t done, total;
};

static int step(void *context, struct pd_error *err)
{
	const struct verifying *verifying = context;

	return pd_backup_step(verifying->watch, verifying->done, verifying->total, err);
}

static int take(void *context, const struct pd_carried *carried, struct pd_error *err)
{
	struct verifying *verifying = context;
	struct pd_backup_verdict *verdict = verifying->verdict;

	verifying->done += carried->size;
	if (carried->is_bad) {
		if (verdict->damaged++ == 0)
			verdict->first = *carried->why;
		return 0;
	}
	/* The same twice at a time counts once. */
	if (pd_backup_seen_has(verifying->seen, &carried->piece))
		return 0;
	verdict->pieces++;
	verdict->bytes += carried->size;
	return pd_backup_seen_add(verifying->seen, &carried->piece, err);
}

static int look_at(struct verifying *verifying, struct pd_carrier *carrier, const struct pd_piece *piece,
		   size_t size, struct pd_error *err)
{
	int result = step(verifying, err);

	if (result != 0)
		return result;
	if (!pd_backup_seen_has(verifying->seen, piece))
		return pd_carrier_ask(carrier, PD_CARRY_GET, piece, size, 0, 0, err);
	verifying->done += size;
	return 0;
}

/* What opens it is there twice: while one copy does, the other is put right. */
static int look_at_keys(struct pd_repository *repository, struct pd_backup_verdict *verdict,
			struct pd_error *err)
{
	struct pd_keyring keyring;
	struct pd_error why = { 0 };
	int result;

	if (repository->key.kind == PD_KEY_NONE)
		return 0;
	result = pd_keyring_load(repository, &keyring, err);
	if (result == 0 && pd_keyring_check(&keyring, &why) != 0 && verdict->damaged++ == 0)
		verdict->first = why;
	return result;
}

int pd_backup_verify(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
		     struct pd_backup_seen *seen, const struct pd_backup_watch *watch,
		     struct pd_backup_verdict *ret_verdict, struct pd_error *err)
{
	struct verifying verifying = { .watch = watch,
				       .seen = seen,
				       .verdict = ret_verdict,
				       .total = pd_backup_manifest_bytes(manifest) };
	struct pd_carrier_options options = {
		.repository = repository, .step = step, .take = take, .context = &verifying
	};
	struct pd_carrier *carrier = NULL;
	int result = pd_carrier_new(&options, &carrier, err);

	if (manifest->kind == PD_BACKUP_ACTORS)
		repository->pieces = PD_PIECES_OF_ACTORS;
	*ret_verdict = (struct pd_backup_verdict){ 0 };
	for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
		const struct pd_backup_file *file = &manifest->files[i];

		for (size_t n = 0; n < file->piece_count && result == 0; n++)
			result = look_at(&verifying, carrier, &manifest->pieces[file->first_piece + n],
					 pd_backup_piece_size(file, n), err);
	}
	if (result == 0)
		result = pd_carrier_wait(carrier, err);
	pd_carrier_free(carrier);
	repository->pieces = PD_PIECES_OF_FILES;
	return result == 0 ? look_at_keys(repository, ret_verdict, err) : result;
}
