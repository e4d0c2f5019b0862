/* Versions: which files are the state at one moment, and who still needs them. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "store/plain/plain_private.h"

struct pd_plain_version *pd_plain_version_new(struct pd_plain *plain, struct pd_plain_file *const *newer,
					      size_t newer_count, const struct pd_plain_version *older,
					      struct pd_log_position applied)
{
	size_t older_count = older != NULL ? older->count : 0, count = newer_count + older_count;
	struct pd_plain_version *version = pd_malloc(sizeof *version +
						     count * sizeof(struct pd_plain_file *));

	if (version == NULL)
		return NULL;
	*version = (struct pd_plain_version){ .references = 1, .applied = applied, .count = count };
	for (size_t i = 0; i < count; i++)
		version->files[i] = i < newer_count ? newer[i] : older->files[i - newer_count];
	pd_plain_lock(&plain->state);
	for (size_t i = 0; i < count; i++)
		version->files[i]->references++;
	pd_plain_unlock(&plain->state);
	return version;
}

struct pd_plain_version *pd_plain_version_get(struct pd_plain *plain)
{
	struct pd_plain_version *version;

	pd_plain_lock(&plain->state);
	version = plain->version;
	version->references++;
	pd_plain_unlock(&plain->state);
	return version;
}

struct pd_plain_version *pd_plain_version_keep(struct pd_plain *plain, struct pd_plain_version *version)
{
	pd_plain_lock(&plain->state);
	PD_ASSERT(version->references > 0);
	version->references++;
	pd_plain_unlock(&plain->state);
	return version;
}

void pd_plain_file_own(struct pd_plain *plain, struct pd_plain_file *file, bool leftover)
{
	file->plain = plain;
	file->references = 1;
	file->leftover = leftover;
}

void pd_plain_file_release(struct pd_plain_file *file)
{
	struct pd_plain *plain;
	bool last;

	if (file == NULL)
		return;
	plain = file->plain;
	pd_plain_lock(&plain->state);
	PD_ASSERT(file->references > 0);
	last = --file->references == 0;
	pd_plain_unlock(&plain->state);
	if (!last)
		return;
	if (file->leftover)
		pd_plain_file_unlink(file, plain->os, plain->directory);
	pd_plain_file_free(file);
}

void pd_plain_version_release(struct pd_plain *plain, struct pd_plain_version *version)
{
	bool last;

	if (version == NULL)
		return;
	pd_plain_lock(&plain->state);
	PD_ASSERT(version->references > 0);
	last = --version->references == 0;
	pd_plain_unlock(&plain->state);
	if (!last)
		return;
	for (size_t i = 0; i < version->count; i++)
		pd_plain_file_release(version->files[i]);
	pd_free(version);
}

static bool has_file(const struct pd_plain_version *version, const struct pd_plain_file *file)
{
	for (size_t i = 0; i < version->count; i++)
		if (version->files[i] == file)
			return true;
	return false;
}

void pd_plain_version_install(struct pd_plain *plain, struct pd_plain_version *version)
{
	struct pd_plain_version *old;

	pd_plain_lock(&plain->state);
	old = plain->version;
	for (size_t i = 0; old != NULL && i < old->count; i++)
		old->files[i]->leftover = true;
	for (size_t i = 0; i < version->count; i++)
		version->files[i]->leftover = false;
	plain->version = version;
	pd_plain_unlock(&plain->state);
	pd_plain_version_release(plain, old);
}

uint64_t pd_plain_version_bytes(const struct pd_plain_version *version)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < version->count; i++)
		bytes += version->files[i]->is.size;
	return bytes;
}

uint64_t pd_plain_take_number(struct pd_plain *plain)
{
	uint64_t number;

	pd_plain_lock(&plain->state);
	number = plain->next_number++;
	pd_plain_unlock(&plain->state);
	return number;
}

/* ---- doubt ---- */

int pd_plain_check_doubt(struct pd_plain *plain, struct pd_error *err)
{
	int rc;

	pd_plain_lock(&plain->state);
	rc = plain->doubt;
	if (rc != 0)
		(void)pd_error_set(err, rc,
				   "%s: nothing is written until the levels are resumed, because of: %s",
				   plain->directory, plain->failure);
	pd_plain_unlock(&plain->state);
	return rc;
}

/* The new manifest may come to be what the next opening finds, so its files must be there. */
static void enter_doubt(struct pd_plain *plain, const struct pd_plain_version *version, int code,
			const struct pd_error *why)
{
	pd_plain_lock(&plain->state);
	plain->doubt = code;
	(void)snprintf(plain->failure, sizeof plain->failure, "%.*s", (int)sizeof plain->failure - 1,
		       why->text);
	for (size_t i = 0; i < version->count; i++) {
		struct pd_plain_file *file = version->files[i];

		if (has_file(plain->version, file))
			continue;
		file->references++;
		file->leftover = false;
		file->next = plain->doubtful;
		plain->doubtful = file;
	}
	pd_plain_unlock(&plain->state);
}

void pd_plain_leave_doubt(struct pd_plain *plain)
{
	struct pd_plain_file *file;

	pd_plain_lock(&plain->state);
	plain->doubt = 0;
	file = plain->doubtful;
	plain->doubtful = NULL;
	for (struct pd_plain_file *each = file; each != NULL; each = each->next)
		each->leftover = true;
	pd_plain_unlock(&plain->state);
	while (file != NULL) {
		struct pd_plain_file *next = file->next;

		pd_plain_file_release(file);
		file = next;
	}
}

int pd_plain_version_commit(struct pd_plain *plain, struct pd_plain_version *version, struct pd_error *err)
{
	struct pd_error why = { 0 };
	uint64_t next_number;
	bool doubt;
	int rc;

	pd_plain_lock(&plain->state);
	next_number = plain->next_number;
	pd_plain_unlock(&plain->state);
	rc = pd_plain_manifest_write(plain->os, plain->directory, version, next_number, &doubt, &why);
	if (rc == 0) {
		pd_plain_version_install(plain, version);
		return 0;
	}
	if (doubt && !pd_plant(PD_PLANT_NO_DOUBT))
		enter_doubt(plain, version, rc, &why);
	pd_plain_version_release(plain, version);
	return pd_error_set(err, rc, "%s", why.text);
}
