#include "backup/place.h"

#include <string.h>

#include "base/memory.h"

#define TEXTS 10

static const char **text_of(struct pd_repository_place *place, size_t n)
{
	const char **texts[TEXTS] = { &place->store.address,    &place->store.s3_endpoint,
				      &place->store.s3_region,  &place->store.s3_style,
				      &place->store.s3_ca_file, &place->store.s3_encryption,
				      &place->store.s3_kms_key, &place->store.s3_profile,
				      &place->key_file,         &place->passphrase_file };

	return texts[n];
}

bool pd_repository_place_is_remote(const struct pd_repository_place *place)
{
	return strstr(place->store.address, "://") != NULL;
}

int pd_repository_place_copy(const struct pd_repository_place *place, struct pd_repository_place *ret_copy)
{
	struct pd_repository_place given = *place;

	*ret_copy = (struct pd_repository_place){ .store.s3_look_first = place->store.s3_look_first,
						  .store.watch = place->store.watch,
						  .is_known = place->is_known,
						  .may_be_new = place->may_be_new,
						  .is_there = place->is_there };
	for (size_t i = 0; i < TEXTS; i++) {
		const char *text = *text_of(&given, i);

		if (text == NULL)
			continue;
		*text_of(ret_copy, i) = pd_strdup(text);
		if (*text_of(ret_copy, i) == NULL)
			return PD_NO_MEMORY;
	}
	return 0;
}

void pd_repository_place_done(struct pd_repository_place *copy)
{
	/* They are ours, though the type says that they are borrowed. */
	for (size_t i = 0; i < TEXTS; i++) {
		char *own;

		memcpy(&own, text_of(copy, i), sizeof own);
		pd_free(own);
	}
	*copy = (struct pd_repository_place){ 0 };
}
