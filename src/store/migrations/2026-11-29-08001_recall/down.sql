-- Programs of cancelled tasks that run go on to their end.
DROP TABLE recall;
