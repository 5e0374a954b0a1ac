busers alice
