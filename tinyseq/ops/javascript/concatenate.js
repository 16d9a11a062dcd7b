{ forward: join, vjp: [joinBack] }
