qrls 14 11.1
