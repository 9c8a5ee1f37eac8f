/* Reads files with libconfig and prints what it understood, for comparison: for each a
   line "file PATH", then one line a value, "error LINE" when the file was refused. Names
   and texts are in hexadecimal. A file includes others from its own directory. */
#include <libconfig.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hex(const char *s) {
	for (; *s != 0; s++)
		printf("%02x", (unsigned char)*s);
}

static void dump(const config_setting_t *s) {
	const char *name = config_setting_name(s);
	int type = config_setting_type(s), n = config_setting_length(s);
	if (name != NULL) {
		hex(name);
		printf(" ");
	}
	switch (type) {
	case CONFIG_TYPE_INT:
		printf("int %d\n", config_setting_get_int(s));
		return;
	case CONFIG_TYPE_INT64:
		printf("int %lld\n", config_setting_get_int64(s));
		return;
	case CONFIG_TYPE_FLOAT:
		printf("float %.17g\n", config_setting_get_float(s));
		return;
	case CONFIG_TYPE_BOOL:
		printf("bool %s\n", config_setting_get_bool(s) ? "true" : "false");
		return;
	case CONFIG_TYPE_STRING:
		printf("string ");
		if (config_setting_get_string(s) != NULL)
			hex(config_setting_get_string(s));
		printf("\n");
		return;
	}
	printf(type == CONFIG_TYPE_GROUP ? "group\n" : "list\n");
	for (int i = 0; i < n; i++)
		dump(config_setting_get_elem(s, i));
	printf("end\n");
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		config_t c;
		char *dir = strdup(argv[i]);
		config_init(&c);
		config_set_include_dir(&c, dirname(dir));
		printf("file %s\n", argv[i]);
		if (config_read_file(&c, argv[i]))
			dump(config_root_setting(&c));
		else
			printf("error %d %s\n", config_error_line(&c), config_error_text(&c));
		config_destroy(&c);
		free(dir);
	}
	return 0;
}
