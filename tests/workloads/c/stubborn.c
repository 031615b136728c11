/* Burns CPU time until a signal ends it: `stubborn LOG SIGNAL...` survives these signals (INT,
 * TERM, HUP). Writes a line to LOG when it starts and for each signal. */
#include "known.h"
#include <fcntl.h>
#include <signal.h>

static int file;

static void told(int number)
{
	const char *line = number == SIGINT ? "INT\n" : number == SIGTERM ? "TERM\n" : "HUP\n";
	ssize_t wrote = write(file, line, strlen(line));
	(void)wrote;
}

int main(int argc, char **argv)
{
	file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
	for (int i = 2; i < argc; i++)
		signal(!strcmp(argv[i], "INT")	? SIGINT :
		       !strcmp(argv[i], "TERM") ? SIGTERM :
						  SIGHUP,
		       told);
	if (write(file, "start\n", 6) != 6)
		return 1;
	for (;;)
		burn(10 * MS);
}
