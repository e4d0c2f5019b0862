/* Reading all of a checkpoint, by tasks that take one file after another: while one waits for the disk another one hashes. Whoever asked for it looks
 * after them, and is the only one that is asked whether to go on. */
#include <stdatomic.h>

#include "base/memory.h"
#include "store/checkpoint_private.h"
#include "store/pass.h"

#define TASKS 2u
/* Between two looks at them. */
#define PATIENCE_FIRST_US 100u
#define PATIENCE_LAST_US  5000u

struct verifying {
	struct pd_os *os;
	const struct pd_checkpoint *checkpoint;
	_Atomic uint64_t done; /* bytes */
	atomic_size_t next;    /* file */
	atomic_bool ended;     /* nobody wants the rest */
};

struct verifier {
	struct verifying *verifying;
	struct pd_os_task *task; /* NULL: not begun */
	struct pd_pass pass;
	uint64_t told; /* of its bytes, those that are in verifying->done */
	size_t first, damaged;
	struct pd_error why, err; /* of the first damaged one; of what ended it */
	int result;
};

bool pd_checkpoint_file_is(const struct pd_checkpoint_file *file, uint64_t size, struct pd_hash128 hash)
{
	return size == file->size && hash.high == file->hash.high && hash.low == file->hash.low;
}

/* ---- in a task ---- */

static bool note_chunk(void *context, uint64_t done, uint64_t total)
{
	struct verifier *verifier = context;

	(void)total;
	atomic_fetch_add(&verifier->verifying->done, done - verifier->told);
	verifier->told = done;
	return !atomic_load(&verifier->verifying->ended);
}

static int verify_file(struct pd_pass *pass, const struct pd_checkpoint *checkpoint,
		       const struct pd_checkpoint_file *file, struct pd_error *err)
{
	char *path = pd_checkpoint_file_path(checkpoint, file->name);
	struct pd_os_file *handle = NULL;
	struct pd_hash128 hash = { 0 };
	uint64_t size = 0;
	int result = path == NULL ? pd_error_set(err, PD_NO_MEMORY, "out of memory for a checkpoint")
				  : pd_pass_open(pass, path, &handle, err);

	if (result == PD_NOT_FOUND)
		result = pd_error_set(err, PD_CORRUPT, "%s is missing", path);
	if (result == 0)
		result = pd_pass_content(pass, handle, NULL, &size, &hash, err);
	if (result == 0 && !pd_checkpoint_file_is(file, size, hash))
		result = pd_error_set(err, PD_CORRUPT, "%s is damaged: it is not what was written", path);
	pd_os_close(handle);
	pd_free(path);
	return result;
}

/* Damage ends nothing: how much of it there is, is told. */
static void run(void *argument)
{
	struct verifier *verifier = argument;
	struct verifying *verifying = verifier->verifying;
	const struct pd_checkpoint *checkpoint = verifying->checkpoint;
	size_t number;

	while (verifier->result == 0 && !atomic_load(&verifying->ended) &&
	       (number = atomic_fetch_add(&verifying->next, 1)) < checkpoint->file_count) {
		struct pd_error why = { 0 };
		int result = verify_file(&verifier->pass, checkpoint, &checkpoint->files[number], &why);

		if (result == PD_CORRUPT) {
			if (verifier->damaged++ == 0) {
				verifier->first = number;
				verifier->why = why;
			}
		} else if (result != 0) {
			verifier->result = pd_error_set(&verifier->err, result, "%s", why.text);
			atomic_store(&verifying->ended, true);
		}
	}
}

/* ---- its owner ---- */

static int start(struct verifying *verifying, struct verifier *verifier, struct pd_error *err)
{
	int result;

	verifier->verifying = verifying;
	result = pd_pass_init(&verifier->pass, verifying->os, note_chunk, verifier, err);
	return result == 0 ? pd_os_task_start(verifying->os, run, verifier, &verifier->task, err) : result;
}

static int ask(const struct verifying *verifying, pd_levels_progress *progress, void *context,
	       struct pd_error *err)
{
	uint64_t done = atomic_load(&verifying->done), total = verifying->checkpoint->bytes;

	/* A file that has grown is damaged, and no reason to tell of more than there is. */
	if (progress == NULL || progress(context, done < total ? done : total, total))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "the work on a checkpoint was cancelled");
}

static int wait(const struct verifying *verifying, const struct verifier *verifiers,
		pd_levels_progress *progress, void *context, struct pd_error *err)
{
	uint64_t patience_us = PATIENCE_FIRST_US;
	int result = 0;

	for (unsigned i = 0; i < TASKS && result == 0;) {
		if (pd_os_task_finished(verifiers[i].task)) {
			i++;
			continue;
		}
		result = ask(verifying, progress, context, err);
		pd_os_sleep_us(verifying->os, patience_us);
		patience_us = 2 * patience_us < PATIENCE_LAST_US ? 2 * patience_us : PATIENCE_LAST_US;
	}
	return result == 0 ? ask(verifying, progress, context, err) : result;
}

/* What they have found together: an error, or the first damaged file. */
static int judge(const struct verifying *verifying, const struct verifier *verifiers, struct pd_error *err)
{
	const struct verifier *first = NULL;
	size_t damaged = 0;

	for (unsigned i = 0; i < TASKS; i++) {
		const struct verifier *verifier = &verifiers[i];

		/* One that ends because another one has failed says that it was cancelled. */
		if (verifier->result != 0 && verifier->result != PD_CANCELLED)
			return pd_error_set(err, verifier->result, "%s", verifier->err.text);
		if (verifier->damaged > 0 && (first == NULL || verifier->first < first->first))
			first = verifier;
		damaged += verifier->damaged;
	}
	if (first == NULL)
		return 0;
	return pd_error_set(err, PD_CORRUPT, "%s (%zu of %zu files of this checkpoint are damaged)",
			    first->why.text, damaged, verifying->checkpoint->file_count);
}

int pd_checkpoint_verify(struct pd_os *os, const struct pd_checkpoint *checkpoint,
			 pd_levels_progress *progress, void *context, struct pd_error *err)
{
	struct verifying verifying = { .os = os, .checkpoint = checkpoint };
	struct verifier verifiers[TASKS] = { 0 };
	int result = 0;

	for (unsigned i = 0; i < TASKS && result == 0; i++)
		result = start(&verifying, &verifiers[i], err);
	if (result == 0)
		result = wait(&verifying, verifiers, progress, context, err);
	if (result != 0)
		atomic_store(&verifying.ended, true);
	for (unsigned i = 0; i < TASKS; i++) {
		pd_os_task_join(verifiers[i].task);
		pd_pass_done(&verifiers[i].pass);
	}
	return result == 0 ? judge(&verifying, verifiers, err) : result;
}
