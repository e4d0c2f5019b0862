#include "backup/piece.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/box.h"
#include "backup/scan.h"
#include "base/plant.h"

void pd_piece_name_in(const char *folder, const struct pd_piece *piece, char name[PD_PIECE_NAME_SIZE])
{
	char digits[2 * PD_SHA256_SIZE + 1];

	pd_scan_format_hex(piece->digest, sizeof piece->digest, digits);
	(void)snprintf(name, PD_PIECE_NAME_SIZE, "%s%.2s/%s", folder, digits, digits);
}

void pd_piece_name(const struct pd_piece *piece, char name[PD_PIECE_NAME_SIZE])
{
	pd_piece_name_in(PD_PIECES_OF_FILES, piece, name);
}

static int call(const struct pd_repository *repository, struct pd_slice content, struct pd_piece *ret_piece,
		struct pd_error *err)
{
	if (pd_key_call(&repository->key, content, ret_piece->digest) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while hashing a piece of a file");
	return 0;
}

/* It is there, put by whoever: a process that was killed may have left it as a power cut takes it. While we have the repository nobody else puts any, so once is enough. */
static int settle_folder(struct pd_repository *repository, const struct pd_piece *piece, struct pd_error *err)
{
	uint8_t *bits = &repository->settled[piece->digest[0] / 8];
	uint8_t bit = (uint8_t)(1u << piece->digest[0] % 8);
	char prefix[sizeof "lines/ab/"];
	int result;

	if ((*bits & bit) != 0)
		return 0;
	(void)snprintf(prefix, sizeof prefix, "%s%02x/", repository->pieces, piece->digest[0]);
	result = pd_object_settle(repository->store, prefix, err);
	if (result == 0)
		*bits |= bit;
	return result;
}

int pd_piece_put(struct pd_repository *repository, struct pd_slice content, struct pd_piece *ret_piece,
		 struct pd_piece_stored *ret_stored, struct pd_error *err)
{
	struct pd_object_put_options later = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	struct pd_slice slices[PD_BOX_SLICES];
	char name[PD_PIECE_NAME_SIZE];
	struct pd_error why;
	int result = call(repository, content, ret_piece, err);

	*ret_stored = (struct pd_piece_stored){ 0 };
	if (result != 0)
		return result;
	pd_piece_name_in(repository->pieces, ret_piece, name);
	result = pd_box_look(repository, name, content.size, &ret_stored->bytes, &why);
	if (result == PD_CORRUPT)
		return pd_error_set(err, result, "%.400s. Remove it, and this backup puts it there again",
				    why.text);
	if (result == 0)
		return settle_folder(repository, ret_piece, err);
	if (result != PD_NOT_FOUND)
		return pd_error_set(err, result, "%s", why.text);
	result = pd_box_pack(repository, name, content, slices, err);
	if (result != 0)
		return result;
	later.later = true;
	result = pd_object_put_slices(repository->store, name, slices, PD_BOX_SLICES, &later, err);
	ret_stored->bytes = slices[0].size + slices[1].size;
	ret_stored->sent = result == 0 ? ret_stored->bytes : 0;
	return result == PD_EXISTS || pd_plant(PD_PLANT_PIECE_BELIEVED) ? 0 : result;
}

static int damaged(const struct pd_repository *repository, const char *name, const char *what,
		   struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "object '%s' of the repository %s %s", name,
			    pd_repository_address(repository), what);
}

int pd_piece_get(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
		 struct pd_slice *ret_content, struct pd_error *err)
{
	char name[PD_PIECE_NAME_SIZE];
	struct pd_piece found;
	int result;

	pd_piece_name_in(repository->pieces, piece, name);
	result = pd_repository_read(repository, name, PD_OBJECT_SIZE_UNKNOWN,
				    PD_BOX_HEAD_SIZE + PD_KEY_SEAL_SIZE + PD_PIECE_SIZE, err);
	if (result == PD_NOT_FOUND)
		return damaged(repository, name, "is missing", err);
	if (result == PD_TOO_LARGE)
		return damaged(repository, name, "is damaged: it is larger than a piece can be", err);
	if (result == 0)
		result = pd_box_unpack(repository, name, size, PD_PIECE_SIZE, ret_content, err);
	if (result == 0)
		result = call(repository, *ret_content, &found, err);
	if (result == 0 && memcmp(&found, piece, sizeof found) != 0)
		result = damaged(repository, name, "is damaged: it is another than its name says", err);
	return result;
}

int pd_piece_look(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
		  uint64_t *ret_bytes, struct pd_error *err)
{
	char name[PD_PIECE_NAME_SIZE];
	int result;

	pd_piece_name_in(repository->pieces, piece, name);
	result = pd_box_look(repository, name, size, ret_bytes, err);
	return result == PD_NOT_FOUND ? damaged(repository, name, "is missing", err) : result;
}
