#include "backup/verify.h"

#include <string.h>

#include "backup/piece.h"
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

static int look_at(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
		   struct pd_backup_seen *seen, struct pd_backup_verdict *verdict, struct pd_error *err)
{
	struct pd_slice content;
	struct pd_error why;
	int result;

	if (pd_backup_seen_has(seen, piece))
		return 0;
	result = pd_piece_get(repository, piece, size, &content, &why);
	if (result == 0) {
		verdict->pieces++;
		verdict->bytes += size;
		return pd_backup_seen_add(seen, piece, err);
	}
	if (result != PD_CORRUPT)
		return pd_error_set(err, result, "%s", why.text);
	if (verdict->damaged++ == 0)
		verdict->first = why;
	return 0;
}

int pd_backup_verify(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
		     struct pd_backup_seen *seen, const struct pd_backup_watch *watch,
		     struct pd_backup_verdict *ret_verdict, struct pd_error *err)
{
	uint64_t total = pd_backup_manifest_bytes(manifest), done = 0;
	int result = 0;

	*ret_verdict = (struct pd_backup_verdict){ 0 };
	for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
		const struct pd_backup_file *file = &manifest->files[i];

		for (size_t n = 0; n < file->piece_count && result == 0; n++) {
			size_t size = pd_backup_piece_size(file, n);

			result = pd_backup_step(watch, done, total, err);
			if (result == 0)
				result = look_at(repository, &manifest->pieces[file->first_piece + n], size,
						 seen, ret_verdict, err);
			done += size;
		}
	}
	return result;
}
