/* Compaction, checkpoint, verify, resume. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "store/plain/plain_private.h"

static struct pd_plain *plain_of(struct pd_levels *levels)
{
	return (struct pd_plain *)levels;
}

/* 0 or PD_CANCELLED. */
static int check_cancelled(struct pd_plain *plain, struct pd_error *err)
{
	if (!atomic_load(&plain->cancelled))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "%s: cancelled", plain->directory);
}

static int check_damage(const struct pd_plain *plain, const struct pd_plain_version *version,
			struct pd_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < version->count && rc == 0; i++)
		rc = pd_plain_file_check(version->files[i], plain->directory, version->files[i]->is.first,
					 version->files[i]->is.last, err);
	return rc;
}

/* ---- compaction ---- */

/* All that is there, nothing that is dead, into one file, which is written and durable, name and all. *ret_file NULL: there
 * is nothing. */
static int merge_all(struct pd_plain *plain, const struct pd_plain_version *version,
		     struct pd_plain_file **ret_file, struct pd_error *err)
{
	struct pd_plain_builder builder;
	struct pd_plain_merge merge = { 0 };
	struct pd_plain_entry entry;
	struct pd_plain_file *file = NULL;
	int rc = pd_plain_merge_seek(&merge, version, pd_slice(NULL, 0));

	*ret_file = NULL;
	pd_plain_builder_init(&builder, PD_PLAIN_POINTS, pd_plain_take_number(plain));
	while (rc == 0 && pd_plain_merge_next(&merge, pd_slice(NULL, 0), &entry)) {
		rc = check_cancelled(plain, err);
		if (rc == 0)
			rc = pd_plain_builder_add(&builder, &entry);
	}
	if (rc == 0 && builder.entries > 0)
		rc = pd_plain_builder_finish(&builder, &file);
	if (rc == PD_NO_MEMORY)
		(void)pd_plain_no_memory(plain->directory, err);
	pd_plain_builder_done(&builder);
	pd_plain_merge_done(&merge);
	if (rc != 0 || file == NULL)
		return rc;
	rc = pd_plain_file_write(file, plain->os, plain->directory, err);
	if (rc != 0) {
		pd_plain_file_free(file);
		return rc;
	}
	pd_plain_file_own(plain, file, true);
	rc = pd_os_sync_directory(plain->os, plain->directory, err);
	if (rc != 0)
		pd_plain_file_release(file);
	else
		*ret_file = file;
	return rc;
}

static void count_running(struct pd_plain *plain, bool more)
{
	pd_plain_lock(&plain->state);
	plain->running_compactions += more ? 1 : -1;
	pd_plain_unlock(&plain->state);
}

/* The caller holds `work`. */
static int compact_all(struct pd_plain *plain, struct pd_error *err)
{
	struct pd_plain_version *old = pd_plain_version_get(plain), *version;
	struct pd_plain_file *merged = NULL;
	int rc;

	count_running(plain, true);
	rc = check_damage(plain, old, err);
	if (rc == 0)
		rc = merge_all(plain, old, &merged, err);
	if (rc == 0) {
		version = pd_plain_version_new(plain, &merged, merged != NULL ? 1 : 0, NULL, old->applied);
		rc = version == NULL ? pd_plain_no_memory(plain->directory, err)
				     : pd_plain_version_commit(plain, version, err);
	}
	pd_plain_file_release(merged);
	pd_plain_version_release(plain, old);
	count_running(plain, false);
	return rc;
}

/* One compaction, and what its failure means to the next. */
static int compact_and_note(struct pd_plain *plain, struct pd_error *err)
{
	struct pd_error why = { 0 };
	int rc = compact_all(plain, &why);

	if (rc != 0 && rc != PD_CANCELLED) {
		pd_plain_lock(&plain->state);
		plain->stopped = true;
		(void)snprintf(plain->failure, sizeof plain->failure, "%.*s", (int)sizeof plain->failure - 1,
			       why.text);
		pd_plain_unlock(&plain->state);
	}
	return rc == 0 ? 0 : pd_error_set(err, rc, "%s", why.text);
}

static bool is_due(struct pd_plain *plain)
{
	bool due;

	pd_plain_lock(&plain->state);
	due = plain->version->count > plain->trigger && !plain->stopped && plain->doubt == 0;
	pd_plain_unlock(&plain->state);
	return due;
}

void pd_plain_compact_if_due(struct pd_plain *plain)
{
	if (is_due(plain) && check_cancelled(plain, NULL) == 0)
		(void)!compact_and_note(plain, NULL);
}

/* Whether anything in it may be dead. */
static bool has_dead(const struct pd_plain_version *version)
{
	return version->count > 1 || (version->count == 1 && version->files[0]->is.deletes > 0);
}

/* Whatever is asked for, all of it is rewritten. */
int pd_plain_compact(struct pd_levels *levels, struct pd_slice from, struct pd_slice to, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	int rc;

	(void)from;
	(void)to;
	pd_plain_lock(&plain->work);
	rc = check_cancelled(plain, err);
	if (rc == 0)
		rc = pd_plain_check_doubt(plain, err);
	if (rc == 0 && has_dead(plain->version))
		rc = compact_and_note(plain, err);
	pd_plain_unlock(&plain->work);
	return rc;
}

int pd_plain_resume(struct pd_levels *levels, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	struct pd_plain_version *version;
	int rc = 0;

	pd_plain_lock(&plain->work);
	if (pd_plain_check_doubt(plain, NULL) != 0) {
		/* Neither manifest is known to be durable: a third one says what the first said. */
		version = pd_plain_version_new(plain, NULL, 0, plain->version, plain->version->applied);
		rc = version == NULL ? pd_plain_no_memory(plain->directory, err)
				     : pd_plain_version_commit(plain, version, err);
		if (rc == 0)
			pd_plain_leave_doubt(plain);
	}
	if (rc == 0) {
		pd_plain_lock(&plain->state);
		plain->stopped = false;
		pd_plain_unlock(&plain->state);
		rc = check_cancelled(plain, err);
		if (rc == 0 && is_due(plain))
			rc = compact_and_note(plain, err);
	}
	pd_plain_unlock(&plain->work);
	return rc;
}

/* ---- checkpoint ---- */

/* A second name, or where the file system has none to give, a copy. */
static int place_file(struct pd_plain *plain, const struct pd_plain_file *file, const char *directory,
		      struct pd_error *err)
{
	char *from = pd_plain_path(plain->directory, file->is.number);
	char *to = pd_plain_path(directory, file->is.number);
	int rc;

	if (from == NULL || to == NULL)
		rc = pd_plain_no_memory(directory, err);
	else
		rc = pd_os_link(plain->os, from, to, err);
	pd_free(from);
	pd_free(to);
	if (rc == PD_NOT_FOUND) /* what is in memory has lost its file: damage, to be told of */
		return pd_error_set(err, PD_CORRUPT, "%s: file %" PRIu64 " is missing", plain->directory,
				    file->is.number);
	if (rc == PD_IO || rc == PD_PERMISSION)
		return pd_plain_file_write(file, plain->os, directory, err);
	return rc;
}

static int fill_checkpoint(struct pd_plain *plain, const struct pd_plain_version *version,
			   uint64_t next_number, const char *path, struct pd_error *err)
{
	bool doubt;
	int rc = 0;

	for (size_t i = 0; i < version->count && rc == 0; i++) {
		rc = check_cancelled(plain, err);
		if (rc == 0)
			rc = place_file(plain, version->files[i], path, err);
	}
	/* The manifest comes last, so that what was begun and not ended cannot be opened. */
	if (rc == 0)
		rc = pd_os_sync_directory(plain->os, path, err);
	if (rc == 0)
		rc = pd_plain_manifest_write(plain->os, path, version, next_number, &doubt, err);
	return rc;
}

int pd_plain_checkpoint(struct pd_levels *levels, const char *path, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	struct pd_plain_version *version;
	int rc = check_cancelled(plain, err);

	if (rc != 0)
		return rc;
	version = pd_plain_version_get(plain);
	rc = check_damage(plain, version, err);
	if (rc == 0)
		rc = pd_os_mkdir(plain->os, path, err);
	if (rc == 0) {
		rc = fill_checkpoint(plain, version, pd_plain_take_number(plain), path, err);
		if (rc != 0)
			(void)!pd_os_remove_tree(plain->os, path, NULL);
	}
	pd_plain_version_release(plain, version);
	return rc;
}

/* The manifest that was written beside it says what it is to be. */
int pd_plain_check_file(struct pd_levels *levels, const char *directory, const char *name,
			struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	uint64_t number = pd_plain_number(name);
	struct pd_plain_manifest manifest = { 0 };
	struct pd_plain_file *file = NULL;
	int rc = number == 0 ? 0 : pd_plain_manifest_read(plain->os, directory, &manifest, err);

	for (size_t i = 0; i < manifest.count && rc == 0; i++) {
		if (manifest.files[i].number != number)
			continue;
		rc = pd_plain_file_read(&manifest.files[i], plain->os, directory, &file, err);
		if (rc == 0)
			rc = pd_plain_file_check(file, directory, file->is.first, file->is.last, err);
		pd_plain_file_free(file);
		break;
	}
	pd_plain_manifest_done(&manifest);
	return rc;
}

/* The newest come first, and those behind them have stayed for longer. */
int pd_plain_files(struct pd_levels *levels, pd_levels_visit *visit, void *context, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	struct pd_plain_version *version = pd_plain_version_get(plain);
	int rc = 0;

	for (size_t i = 0; i < version->count && rc == 0; i++) {
		const struct pd_plain_description *is = &version->files[i]->is;
		char *path = pd_plain_path("", is->number);

		rc = path == NULL ? pd_plain_no_memory(plain->directory, err)
				  : visit(context,
					  &(struct pd_levels_file){
						  .name = path + 1, .bytes = is->size, .depth = (unsigned)i },
					  err);
		pd_free(path);
	}
	pd_plain_version_release(plain, version);
	return rc;
}

/* There is no limit here. */
int pd_plain_pace(struct pd_levels *levels, uint64_t bytes, pd_levels_go_on *go_on, void *context,
		  struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);

	(void)bytes;
	if (!go_on(context))
		return pd_error_set(err, PD_CANCELLED, "%s: cancelled", plain->directory);
	return check_cancelled(plain, err);
}

/* ---- verify ---- */

struct reporter {
	pd_levels_report *report;
	pd_levels_progress *progress;
	void *context;
	uint64_t done, total;
};

/* false: stop. */
static bool report_damage(const struct reporter *reporter, const char *file, struct pd_slice first,
			  struct pd_slice last, const char *text)
{
	struct pd_levels_damage damage = { .first_key = first, .last_key = last };

	(void)snprintf(damage.file, sizeof damage.file, "%s", file);
	(void)snprintf(damage.text, sizeof damage.text, "%.*s", (int)sizeof damage.text - 1, text);
	return reporter->report(reporter->context, &damage);
}

static bool report_file(const struct reporter *reporter, const struct pd_plain_file *file)
{
	char *path = pd_plain_path("", file->is.number), text[64];
	const char *name = path != NULL ? path + 1 : "(no memory for its name)";
	bool go_on = true;

	if (file->damage_code != 0)
		go_on = report_damage(reporter, name, file->is.first, file->is.last, file->damage);
	for (size_t i = 0; i < file->block_count && go_on; i++) {
		const struct pd_plain_block *block = &file->blocks[i];

		(void)snprintf(text, sizeof text, "the checksum of the block at %" PRIu64 " is wrong",
			       block->offset);
		if (block->damaged)
			go_on = report_damage(reporter, name, block->first, block->last, text);
	}
	pd_free(path);
	return go_on;
}

/* The manifest has been read when the levels were opened, and may have rotted since. */
static int verify_manifest(struct pd_plain *plain, const struct reporter *reporter, bool *ret_go_on,
			   struct pd_error *err)
{
	struct pd_plain_manifest manifest = { 0 };
	struct pd_error why = { 0 };
	const struct pd_slice unknown = { NULL, 0 };
	int rc;

	pd_plain_lock(&plain->work);
	rc = pd_plain_manifest_read(plain->os, plain->directory, &manifest, &why);
	if (rc == 0 && pd_plain_check_doubt(plain, NULL) == 0 &&
	    (manifest.applied.lsn != plain->base.applied.lsn || manifest.count != plain->version->count))
		rc = pd_error_set(&why, PD_CORRUPT, "it is not the last one that was written");
	pd_plain_unlock(&plain->work);
	pd_plain_manifest_done(&manifest);
	*ret_go_on = true;
	if (rc == PD_NO_MEMORY)
		return pd_error_set(err, rc, "%s", why.text);
	if (rc != 0)
		*ret_go_on = report_damage(reporter, "MANIFEST", unknown, unknown, why.text);
	return 0;
}

static int verify_files(struct pd_plain *plain, const struct pd_plain_version *version,
			struct reporter *reporter, struct pd_error *err)
{
	bool go_on;
	int rc = verify_manifest(plain, reporter, &go_on, err);

	for (size_t i = 0; i < version->count && rc == 0; i++) {
		const struct pd_plain_description *is = &version->files[i]->is;
		struct pd_plain_file *file;

		rc = check_cancelled(plain, err);
		if (rc == 0 && !go_on)
			rc = pd_error_set(err, PD_CANCELLED, "%s: stopped", plain->directory);
		if (rc == 0)
			rc = pd_plain_file_read(is, plain->os, plain->directory, &file, err);
		if (rc != 0)
			break;
		go_on = report_file(reporter, file);
		pd_plain_file_free(file);
		reporter->done += is->size;
		if (go_on && reporter->progress != NULL)
			go_on = reporter->progress(reporter->context, reporter->done, reporter->total);
	}
	if (rc == 0 && !go_on)
		rc = pd_error_set(err, PD_CANCELLED, "%s: stopped", plain->directory);
	return rc;
}

int pd_plain_verify(struct pd_levels *levels, bool known, pd_levels_report *report,
		    pd_levels_progress *progress, void *context, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	struct pd_plain_version *version = pd_plain_version_get(plain);
	struct reporter reporter = { .report = report, .progress = progress, .context = context };
	int rc;

	(void)known; /* it is read in the same way */
	reporter.total = pd_plain_version_bytes(version);
	rc = verify_files(plain, version, &reporter, err);
	pd_plain_version_release(plain, version);
	return rc;
}
