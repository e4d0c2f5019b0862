/* `perdure backup key`: which keys open an encrypted repository. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/keyring.h"
#include "backup/rekey.h"
#include "cli/backup_private.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	{ "new-key-file", "FILE", PD_OPTION_TEXT, PD_BACKUP_AT(new_key_file), 0, 0,
	  "add, change: the other key, as --key-file has it." },
	{ "new-passphrase-file", "FILE", PD_OPTION_TEXT, PD_BACKUP_AT(new_passphrase_file), 0, 0,
	  "add, change: the other passphrase, as --passphrase-file has it." },
	PD_BACKUP_OPTION_JSON,
};

static const struct pd_options options = {
	.command = "perdure backup key",
	.synopsis = "perdure backup key ls|add|change|remove NUMBER|mend --repository ADDRESS --key-file "
		    "FILE [options]",
	.about =
		"Other keys for an encrypted repository, of which nothing is written anew: it is encrypted "
		"under a\nrandom master key, and that is sealed under each key that opens it.\n"
		"\n"
		"  ls      which keys there are, and which one is given\n"
		"  add     another key opens it, too\n"
		"  change  another key opens it, and the one that is given does not any more\n"
		"  remove  the key of that number does not open it any more\n"
		"  mend    each key is there twice: what has rotted of that is put right, as by all but ls\n"
		"\n"
		"--key-file or --passphrase-file is one that opens it now. Killed anywhere, the old key or "
		"the "
		"new one\nopens it, and the same command ends it. The files of running servers "
		"(backup.key-file) are not\nchanged: do that yourself, before their next backup.\n"
		"\n"
		"This is for a key that somebody may come to know. Who had it and a copy of the repository's "
		"key/ of\nthen has the master key: for that, make another repository. So it is, too, with "
		"the "
		"first key of a\nrepository that was made before there was this command: that is the master "
		"key "
		"itself (key 0).",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup key ls --repository /backup/perdure --key-file backup.key\n"
		 "  perdure backup key change --repository /backup/perdure --key-file backup.key "
		 "--new-key-file other.key\n"
		 "  perdure backup key add --repository /backup/perdure --key-file backup.key "
		 "--new-passphrase-file words\n"
		 "  perdure backup key remove 1 --repository /backup/perdure --passphrase-file words\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

enum action { LIST, ADD, CHANGE, REMOVE, MEND, ACTIONS };

static const char *const actions[ACTIONS] = { "ls", "add", "change", "remove", "mend" };

static enum action action_of(const char *word)
{
	enum action action = LIST;

	while (action < ACTIONS && (word == NULL || strcmp(word, actions[action]) != 0))
		action++;
	return action;
}

/* ---- ls ---- */

static unsigned copies_of(const struct pd_keyring_slot *item)
{
	unsigned copies = 0;

	for (unsigned copy = 0; copy < PD_KEY_COPIES; copy++)
		copies += item->there[copy];
	return copies;
}

static void tell_slot(struct pd_backup_work *work, const struct pd_key_recipe *recipe, uint32_t number,
		      uint64_t created_us, unsigned copies)
{
	const char *kind = recipe->kind == PD_KEY_FILE ? "key file" : "passphrase";
	bool given = work->repository->key.slot == number;
	struct pd_output *output = &work->output;

	if (work->given.json) {
		pd_backup_line_begin(work, "key");
		pd_output_number_field(output, "number", number);
		pd_output_string_field(output, "kind", recipe->kind == PD_KEY_FILE ? "file" : "passphrase");
		if (number != 0)
			pd_output_time_field(output, "created", created_us);
		pd_output_bool_field(output, "master", number == 0);
		pd_output_bool_field(output, "given", given);
		pd_output_number_field(output, "copies", copies);
		pd_backup_line_end(work);
		return;
	}
	pd_output_text(output, "key %-4" PRIu32 " %-12s", number, kind);
	if (number != 0)
		pd_output_time(output, created_us);
	else
		pd_output_text(output, "the master key itself");
	pd_output_text(output, "%s", given ? ", the one that is given" : "");
	if (number != 0 && copies < PD_KEY_COPIES)
		pd_output_text(output, "; %u of its %u copies is sound", copies, PD_KEY_COPIES);
	pd_output_text(output, "\n");
}

static int list(struct pd_backup_work *work)
{
	const struct pd_key_record *record = &work->repository->record;
	struct pd_keyring keyring;
	struct pd_error err = { 0 };
	int result = 0;

	if (record->recipe.kind == PD_KEY_NONE)
		result = pd_error_set(&err, PD_INVALID,
				      "the repository %.300s is not encrypted: it has no keys",
				      work->place.store.address);
	if (result == 0)
		result = pd_keyring_load(work->repository, &keyring, &err);
	if (result != 0)
		return pd_backup_work_failed(work, result, &err);
	if (keyring.first_is_master)
		tell_slot(work, &record->recipe, 0, 0, 1);
	for (size_t i = 0; i < keyring.count; i++)
		tell_slot(work, &keyring.items[i].slot.recipe, keyring.items[i].slot.number,
			  keyring.items[i].slot.created_us, copies_of(&keyring.items[i]));
	result = pd_keyring_check(&keyring, &err);
	return result == 0 ? PD_EXIT_OK : pd_backup_work_failed(work, result, &err);
}

/* ---- the others ---- */

#define OLD_COPIES                                                                                      \
	"whoever had the old key, and a copy of the repository's key/ of then, can still read it: for " \
	"that, make another repository"
#define OLD_MASTER                                                                                        \
	"the key that it was made with is its master key: whoever has that can still read it; for that, " \
	"make another repository"

static const char *notice_of(const struct pd_rekeyed *done)
{
	return !done->gone ? "" : done->first ? OLD_MASTER : OLD_COPIES;
}

static void tell(struct pd_backup_work *work, enum action action, const struct pd_rekeyed *done)
{
	struct pd_output *output = &work->output;

	if (!work->given.json) {
		if (action == MEND)
			pd_output_text(output, "each key of %s is there twice\n", work->place.store.address);
		else if (action != REMOVE)
			pd_output_text(output, "key %" PRIu32 " opens %s%s\n", done->added,
				       work->place.store.address,
				       done->was_there ? ", as it did before" : "");
		if (done->gone)
			pd_output_text(output, "key %" PRIu32 " does not any more; %s\n", done->removed,
				       notice_of(done));
		return;
	}
	pd_backup_line_begin(work, "done");
	if (action == ADD || action == CHANGE) {
		pd_output_number_field(output, "added", done->added);
		pd_output_bool_field(output, "was_there", done->was_there);
	}
	if (done->gone) {
		pd_output_number_field(output, "removed", done->removed);
		pd_output_string_field(output, "notice", notice_of(done));
	}
	pd_backup_line_end(work);
}

static int change(struct pd_backup_work *work, enum action action, uint32_t number)
{
	const struct pd_repository_place new_place = { .key_file = work->given.new_key_file,
						       .passphrase_file = work->given.new_passphrase_file };
	struct pd_backup_watch watch = { .go_on = pd_backup_progress_watch, .context = work };
	struct pd_rekeyed done = { 0 };
	struct pd_error err = { 0 };
	int result;

	pd_backup_progress_begin(work, "looking who else writes");
	result = action == ADD      ? pd_rekey_add(work->repository, &new_place, &watch, &done, &err)
		 : action == CHANGE ? pd_rekey_change(work->repository, &new_place, &watch, &done, &err)
		 : action == MEND   ? pd_rekey_mend(work->repository, &watch, &err)
				    : pd_rekey_remove(work->repository, number, &watch, &done, &err);
	pd_backup_progress_end(work);
	if (result == 0) {
		tell(work, action, &done);
		return PD_EXIT_OK;
	}
	if (action == CHANGE && done.added != 0 && !done.was_there)
		(void)fprintf(stderr, "%s: the old key still opens the repository; the new one may, too\n",
			      options.command);
	return pd_backup_work_failed(work, result, &err);
}

/* Changed before, and once more? Then nothing is left to do, and it is not what was given that is wrong. */
static int open_old(struct pd_backup_work *work, enum action action)
{
	struct pd_repository_place place = work->place;
	struct pd_repository *again = NULL;
	struct pd_error err = { 0 };
	int result = pd_repository_open(work->os, &work->place, &work->repository, &err);

	if (result == 0)
		return PD_EXIT_OK;
	place.key_file = work->given.new_key_file;
	place.passphrase_file = work->given.new_passphrase_file;
	if (action == CHANGE && result == PD_PERMISSION &&
	    pd_repository_open(work->os, &place, &again, NULL) == 0)
		(void)fprintf(stderr, "%s: the new key opens the repository already\n", options.command);
	pd_repository_free(again);
	return pd_backup_work_failed(work, result, &err);
}

static int wrong(struct pd_backup_work *work, enum action action, const char *operand, uint64_t *ret_number)
{
	bool has_new = work->given.new_key_file != NULL || work->given.new_passphrase_file != NULL;
	int64_t number = 0;

	if (action == ACTIONS)
		return pd_options_wrong(&options,
					"what about the keys? Say ls, add, change, remove NUMBER or mend");
	if (action == REMOVE && (operand == NULL || !pd_slice_to_int64(pd_slice_string(operand), &number) ||
				 number < 0 || number > (int64_t)PD_KEY_SLOT_NUMBER_MAX))
		return pd_options_wrong(&options, "which key? 'perdure backup key ls' has their numbers");
	if (action != REMOVE && operand != NULL)
		return pd_options_wrong(&options, "unexpected word \"%s\"", operand);
	if ((action == ADD || action == CHANGE) != has_new)
		return pd_options_wrong(&options,
					has_new ? "a new key is for add and change"
						: "which is the new key? Say --new-key-file FILE or "
						  "--new-passphrase-file FILE");
	*ret_number = (uint64_t)number;
	return PD_EXIT_OK;
}

int pd_backup_key_run(int argc, char **argv)
{
	enum action action = action_of(argc > 1 ? argv[1] : NULL);
	struct pd_backup_work work;
	const char *operand;
	uint64_t number = 0;
	int status;

	if (action != ACTIONS) {
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	if (!pd_backup_work_begin(&work, &options, argc, argv, &operand, &status))
		return status;
	if (action == ACTIONS && operand != NULL) {
		action = action_of(operand);
		operand = NULL;
	}
	status = wrong(&work, action, operand, &number);
	if (status == PD_EXIT_OK)
		status = open_old(&work, action);
	if (status == PD_EXIT_OK)
		status = action == LIST ? list(&work) : change(&work, action, (uint32_t)number);
	return pd_backup_work_end(&work, status);
}
