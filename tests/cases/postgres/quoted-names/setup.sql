CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."Odd ""Table""" ("Select" integer, "a b" text);
INSERT INTO "My Schema"."Odd ""Table""" VALUES (1, 'x'), (2, 'y'), (3, 'z'), (4, NULL);
