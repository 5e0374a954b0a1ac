qrls 99
