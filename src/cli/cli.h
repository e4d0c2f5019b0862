/* The `perdure` command: one binary, a table of subcommands. */
#ifndef PD_CLI_CLI_H
#define PD_CLI_CLI_H

/* argv[0] is the subcommand's name. Returns an exit status of enum pd_exit (server/server.h). `--help` among the
 * arguments prints its page on standard output. */
struct pd_subcommand {
	const char *name;
	const char *summary; /* one line of `perdure --help` */
	int (*run)(int argc, char **argv);
};

/* All of them, in the order of `perdure --help`. pd_subcommand_NAME is defined in the file of its name. */
#define PD_SUBCOMMANDS(X) \
	X(server)         \
	X(cli)            \
	X(top)            \
	X(doctor)         \
	X(demo)           \
	X(log)            \
	X(store)          \
	X(actor)          \
	X(archive)        \
	X(backup)         \
	X(memory)         \
	X(config)         \
	X(user)           \
	X(metrics)        \
	X(bench)

#define X(name) extern const struct pd_subcommand pd_subcommand_##name;
PD_SUBCOMMANDS(X)
#undef X

#endif
